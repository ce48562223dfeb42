"""Three wrong answers to every exercise, which its check must refuse: nonsense, and what a learner may well write."""

#: by page and by function: sources of functions
WRONG: dict[str, dict[str, tuple[str, str, str]]] = {
    "00_tour": {
        "whole_video_miou": (
            "lambda spans: 42.0",
            "lambda spans: float(spans.mean())",
            "lambda spans: float((1 - spans[:, 1] + spans[:, 0]).mean())",
        ),
        "worst_answer_miou": (
            "lambda proposals: None",
            "lambda proposals: float(proposals.iou.mean())",
            "lambda proposals: float(proposals.loc[proposals.groupby('query_id').nll.idxmin()].iou.mean())",
        ),
        "recall_at_one": (
            "lambda answers, truth, m: 0.5",
            "lambda answers, truth, m: float((np.abs(answers - truth).max(axis=1) <= 1 - m).mean())",
            "lambda a, b, m: float(np.mean((np.minimum(a, b)[:, 1] - np.maximum(a, b)[:, 0]) / "
            "(np.maximum(a, b)[:, 1] - np.minimum(a, b)[:, 0]) > m))",
        ),
    },
    "01_cnm": {
        "border_weight": (
            "lambda alpha: 42.0",
            "lambda alpha: math.exp(-alpha)",
            "lambda alpha: math.exp(-1)",
        ),
        "on_probabilities": (
            "lambda p, m: p",
            "lambda p, m: p * m",
            "lambda p, m: (p.log() * m).softmax(0)",
        ),
        "complaining": (
            "lambda positive, negative, gap: 0.5",
            "lambda positive, negative, gap: float((positive > negative).float().mean())",
            "lambda positive, negative, gap: float((positive - negative + gap).clamp(min=0).mean())",
        ),
        "hit_rate": (
            "lambda count: 42.0",
            "lambda count: float(inside.mean())",
            "lambda count: float(true_width.mean())",
        ),
    },
    "02_gaussian_proposals": {
        "lambda_for": (
            "lambda width, sigma, cells: 0.146",
            "lambda width, sigma, cells: width * sigma / cells",
            "lambda width, sigma, cells: sigma / (2 * np.pi * width * cells)",
        ),
        "rank_vote": (
            "lambda proposals, nll: 0",
            "lambda proposals, nll: int(nll.argmin())",
            "lambda proposals, nll: int(iou(proposals[:, None], proposals).sum(axis=1).argmax())",
        ),
        "pull_gradient": (
            "lambda centers: centers",
            "lambda centers: 2 * (centers - centers.mean())",
            "lambda centers: np.sign(centers - np.median(centers)) * np.ptp(centers)",
        ),
    },
    "03_dual_signed_negatives": {
        "first_hard_epoch": (
            "lambda alpha, beta, epochs: 20",
            "lambda alpha, beta, epochs: int(np.ceil(epochs * beta ** (1 / alpha)))",
            "lambda alpha, beta, epochs: int(epochs * beta) + 1",
        ),
        "unnormalised": (
            "lambda p, g, v, s: v",
            "lambda p, g, v, s: (p * g / (p * g).sum()) @ v",
            "lambda p, g, v, s: (p * g) @ v",
        ),
        "mask_share": (
            "lambda weight_dce, c, weight_mt, active: 1.0",
            "lambda weight_dce, c, weight_mt, active: weight_dce / (weight_dce + weight_mt)",
            "lambda weight_dce, c, weight_mt, active: weight_dce * c / (weight_dce * c - weight_mt * active)",
        ),
    },
    "04_bm_detr": {
        "largest_attention": (
            "lambda clips: 1.0",
            "lambda clips: 1 / clips",
            "lambda clips: float(np.e / (np.e + clips))",
        ),
        "allowed": (
            "lambda windows: np.ones((len(windows), len(windows)), dtype=bool)",
            "lambda windows: ~np.eye(len(windows), dtype=bool)",
            "lambda windows: windows[:, None, 1] <= windows[None, :, 0]",
        ),
        "label_widths": (
            "lambda first, last, n: 0.3",
            "lambda first, last, n: ((last - first) / n, (last - first) / n)",
            "lambda first, last, n: ((last - first + 1) / n, (last - first) / n)",
        ),
    },
    "05_actions_with_text": {
        "bag_score": (
            "lambda snippets, inside, ratio: 4.0",
            "lambda snippets, inside, ratio: 4 * inside / snippets",
            "lambda snippets, inside, ratio: 4 * min(snippets // ratio, inside) / (snippets // ratio)",
        ),
        "kept_minimum": (
            "lambda cas, attention: cas",
            "lambda cas, attention: attention[..., None] * cas",
            "lambda cas, attention: attention[..., None] * (cas - cas.amin()) + cas.amin()",
        ),
        "optimism": (
            "lambda evaluations: 2.5",
            "lambda evaluations: float(np.log(evaluations))",
            "lambda evaluations: float(np.random.default_rng(0).standard_normal((2000, evaluations)).max())",
        ),
    },
    "06_sentence_components": {
        "push": (
            "lambda losses, omega: omega",
            "lambda losses, omega: omega * losses",
            "lambda losses, omega: omega * (losses - (omega * losses).sum())",
        ),
        "turned": (
            "lambda sentence: None",
            "lambda sentence: sentence.replace('left', 'right')",
            "lambda sentence: ' '.join({'left': 'right', 'right': 'left', 'up': 'down', 'down': 'up'}.get(w, w) "
            "for w in sentence.split())",
        ),
        "not_detector": (
            "lambda anchor, other: 0.0",
            "lambda anchor, other: float('not' not in other.split())",
            "lambda anchor, other: 1.0 - float(('not' in anchor) != ('not' in other))",
        ),
    },
    "07_your_own_video": {
        "share_right": (
            "lambda firsts, truth: 1.0",
            "lambda firsts, truth: float((firsts[:, 0] < truth[:, 1]).mean())",
            "lambda a, b: float(np.mean((np.minimum(a, b)[:, 1] - np.maximum(a, b)[:, 0]) / "
            "(np.maximum(a, b)[:, 1] - np.minimum(a, b)[:, 0]) >= 0.5))",
        ),
        "starts_of_windows": (
            "lambda rows, length: [0]",
            "lambda rows, length: list(range(0, rows, length // 2))",
            "lambda rows, length: list(range(0, rows - length, length // 2))",
        ),
        "longest_stretch": (
            "lambda curve, level: (0, len(curve))",
            "lambda curve, level: (int((curve > level).argmax()), int(len(curve)))",
            "lambda curve, level: (int(np.flatnonzero(curve > level)[0]), int(np.flatnonzero(curve > level)[-1]))",
        ),
    },
    "08_data_check": {
        "recall": (
            "lambda window, spans, threshold: 1.0",
            "lambda window, spans, threshold: float((np.minimum(spans[:, 1], window[1]) > spans[:, 0]).mean())",
            "lambda w, s, m: float(((np.minimum(s[:, 1], w[1]) - np.maximum(s[:, 0], w[0])).clip(0) / "
            "(np.maximum(s[:, 1], w[1]) - np.minimum(s[:, 0], w[0])) > m).mean())",
        ),
        "leaked": (
            "lambda train, test: []",
            "lambda train, test: [video for video in test if video in train]",
            "lambda train, test: sorted(set(train) | set(test))",
        ),
        "seconds_per_row": (
            "lambda stride, fps: 0.64",
            "lambda stride, fps: fps / stride",
            "lambda stride, fps: 1 / fps",
        ),
    },
}
