"""The program that runs on a host and touches its kernel.

Standard library only; imports nothing outside this folder.
"""
