"""The plumbing: requests and answers as HTTP knows them, whatever they are about."""
