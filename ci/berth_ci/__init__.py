"""What runs in a build's pods beside its script: finds the commit, checks it out, packs what it leaves behind."""
