"""ColdBrew: an offline teacher-logit cache pipeline for knowledge distillation of language models."""

__version__ = "0.1.0"
