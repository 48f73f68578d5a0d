"""Text: tokenizers, character offsets, sentences, word vectors."""
