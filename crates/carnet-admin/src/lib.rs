//! Admin API and key store; talks to the gateway through its handles.
