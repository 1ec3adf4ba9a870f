"""The agent's protocol over real TLS, with the kernel's real tables."""


def test_the_first_push_replaces_the_closed_ruleset(served):
    assert served.request("GET", "/v1/state").fields["generation"] == 0
    answer = served.push(1, ("198.18.200.10", "ACCEPT"), keys=["ssh-ed25519 AAAAone"])
    assert answer.status == 200
    assert served.request("GET", "/v1/state") == answer
    assert f'comment "berth e3 g1 {answer.fields["digest"]}"' in served.table()
    assert served.keys() == "ssh-ed25519 AAAAone\n"
    status = open(f"/proc/{served.process.pid}/status").read()
    print(next(line for line in status.splitlines() if "VmRSS" in line), served.log.read_text())
