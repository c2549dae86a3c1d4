"""Work on millions of images, cut into shards: each has a file of results, so that a run that was killed continues.

`image_shards` cuts images into shards and reads them, `task` says what is done with a shard, `job_folder` keeps the
files, and `runners` does the shards that are due: in this process, in an Apache Beam pipeline, or by Ray Data.
"""
