"""The EVSE, pure: pilot, session, authorisation, faults, decision to command."""
