"""The main job as a story: rig, CSMS and daemon play one evening in a minute."""
