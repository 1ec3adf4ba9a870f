/* The process that holds a pod's namespaces: it waits, reaps orphans, and ends on SIGTERM or SIGINT. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number) {
  (void)number;
  _exit(0);
}

static void reap(int number) {
  (void)number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  if (signal(SIGTERM, leave) == SIG_ERR || signal(SIGINT, leave) == SIG_ERR || signal(SIGCHLD, reap) == SIG_ERR)
    return EXIT_FAILURE;
  for (;;)
    pause();
}
