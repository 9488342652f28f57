"""Generated from the .proto files beside this package by `make proto`. Do not edit."""
