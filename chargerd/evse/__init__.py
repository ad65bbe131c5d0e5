"""The EVSE, pure: pilot, session, authorisation, faults, and a decision as a command."""
