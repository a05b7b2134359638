"""The benchmark of classification, and the pipeline that it is compared with."""
