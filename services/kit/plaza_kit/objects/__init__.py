"""Files that never change, in a folder of this machine or on S3: the same promises, one word for each.

`store` says what is promised; `folder` and `s3` keep it. Arrow's client is loaded only where S3 is used, so that a
service without it needs no pyarrow.
"""
