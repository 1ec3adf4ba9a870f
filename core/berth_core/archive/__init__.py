"""The archive of builds: a bucket or a folder."""
