"""Sources: what a server may take deltas from, and what it does about it.

    directory   file:// and plain paths: the operator's, and beneath --source-roots
    web         https://: files found by their names
    hub         hf://: repositories of a Hugging Face hub
    objects     s3://, gs://, az://: object stores

A delta goes straight into the store. What requests name is held to an allow-list, empty at first.
"""
