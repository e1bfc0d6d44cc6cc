"""Parameter files of other codes, written from a potential that they can express."""
