"""Beam search by the rules of infer/caption, one picture at a time."""

import torch


@torch.no_grad()
def search(decoder, annotations, h, c, start, stop, beam=3, most=20, penalty=0.0):
    """annotations [1, cells, features] and the first state -> token ids without the
    stop, and the attention of each [cells]. Finished sentences are compared by the
    sum of their log-probabilities over length ** penalty."""
    rows = [(0.0, [], [])]  # sum, tokens, attention
    done = []
    device = annotations.device
    token = torch.tensor([start], device=device)
    for length in range(1, most + 1):
        n = len(rows)
        logits, h, c, attention = decoder(token, h, c, annotations.expand(n, -1, -1))
        sums = torch.log_softmax(logits.double(), 1) + torch.tensor([r[0] for r in rows], dtype=torch.double, device=device).unsqueeze(1)
        best, at = sums.flatten().topk(min(beam - len(done), sums.numel()))
        kept, parents, words = [], [], []
        for score, i in zip(best.tolist(), at.tolist()):
            row, word = divmod(i, logits.shape[1])
            _, tokens, looks = rows[row]
            if word == stop:
                done.append((score / length ** penalty, tokens, looks))
            else:
                kept.append((score, tokens + [word], looks + [attention[row]]))
                parents.append(row), words.append(word)
        rows = kept
        if not rows or done and rows[0][0] / most ** penalty <= max(d[0] for d in done):
            break
        h, c, token = h[parents], c[parents], torch.tensor(words, device=device)
    _, tokens, looks = max(done, key=lambda d: d[0]) if done else rows[0]
    return tokens, looks
