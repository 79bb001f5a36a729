//! What a model may ask of Kubernetes, in kubectl's words. GET only.
