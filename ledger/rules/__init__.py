"""What an event deserves under a policy. Pure: time, randomness and configuration come in as arguments.

assessment -> assess (calls one module a rule: tier, parts, ascend, ...) -> levels -> alerts -> describe
"""
