"""Which parameters are plausible?"""
