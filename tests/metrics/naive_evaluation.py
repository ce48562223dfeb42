"""The evaluation protocols one number at a time, written from their definitions: slow, plain, for comparison only."""

import math

THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
RANGES = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": None}


def iou(a, b):
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - overlap
    return overlap / union if union != 0 else 0.0


def recall_at_one(windows, truth):
    if not len(windows):
        return -1.0
    return max(iou(windows[0], w) for w in truth)


def average_precision(windows, truth, threshold, cut=10):
    ranked = sorted(list(windows)[:cut], key=lambda w: -w[2])
    taken, hits = set(), []
    for window in ranked:
        free = [g for g in range(len(truth)) if g not in taken and iou(window, truth[g]) >= threshold]
        hits.append(bool(free))
        if free:
            taken.add(max(free, key=lambda g: (iou(window, truth[g]), g)))
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precision[k:]) / len(truth) for k in range(len(hits)) if hits[k])


def highlight_ap(scores, positive):
    count = len(positive)
    scores = (list(scores) + [0.0] * count)[:count]
    if not any(positive):
        return 0.0
    if all(positive):
        return 1.0
    levels = sorted(set(scores), reverse=True)
    found = [sum(1 for s, p in zip(scores, positive, strict=True) if s >= level and p) for level in levels]
    seen = [sum(1 for s in scores if s >= level) for level in levels]
    precision = [f / n for f, n in zip(found, seen, strict=True)]
    terms = [max(precision[k:]) for k in range(len(levels)) if found[k] > (found[k - 1] if k else 0)]
    return sum(terms) / len(terms)


def hit_at_one(scores, annotators):
    answer = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return any(answer < len(positive) and positive[answer] for positive in annotators)


def top_clips(scores, labels, top=5):
    """Mean over annotators of the trapezoid AP."""
    values = []
    for annotator in zip(*labels, strict=True):
        median = sorted(annotator)[(len(annotator) - 1) // 2]
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:top]
        hits = [annotator[i] > median for i in order]
        area, recall, precision = 0.0, 0.0, 1.0
        for k in range(len(hits)):
            if not sum(hits):
                break
            r, p = sum(hits[: k + 1]) / sum(hits), sum(hits[: k + 1]) / (k + 1)
            area, recall, precision = area + (r - recall) * (precision + p) / 2, r, p
        values.append(area)
    return values


def qvhighlights(predictions, queries):
    """The nested numbers in percent, not rounded."""
    by_qid = {q.qid: q for q in queries}
    out = {}
    for name, bounds in RANGES.items():
        rows = []
        for prediction in predictions:
            truth = by_qid[prediction.qid].windows_s
            if bounds is not None:
                truth = [w for w in truth if bounds[0] < w[1] - w[0] <= bounds[1]]
            if len(truth):
                rows.append((prediction.windows_s.tolist(), truth))
        best = [recall_at_one(*row) for row in rows]
        recalls = {str(t): mean([b >= t for b in best]) for t in THRESHOLDS}
        precisions = {str(t): mean([average_precision(*row, t) for row in rows]) for t in THRESHOLDS}
        precisions["average"] = sum(precisions.values()) / len(precisions)
        out[name] = {"MR-mAP": precisions, "MR-R1": recalls}
    for name, lowest in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        aps, hits = [], []
        for prediction in predictions:
            query = by_qid[prediction.qid]
            annotators = [[False] * int(query.duration_s / 2) for _ in range(3)]
            for clip, scores in zip(query.relevant_clip_ids, query.saliency_scores, strict=True):
                for a in range(3):
                    annotators[a][clip] = scores[a] >= lowest
            aps += [highlight_ap(prediction.clip_scores.tolist(), positive) for positive in annotators]
            hits.append(hit_at_one(prediction.clip_scores.tolist(), annotators))
        out[f"HL-min-{name}"] = {"HL-mAP": mean(aps), "HL-Hit1": mean(hits)}
    return out


def mean(values):
    return 100 * sum(values) / len(values) if values else math.nan
