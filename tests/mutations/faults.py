"""The faults: one wrong line each, and the tests that must notice it.

Code that moves takes its faults along: change ``file``, snippet and ``caught_by``, not the name.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """``old`` stands once in ``file``; with ``new`` in its place a test of ``caught_by`` fails.

    ``caught_by``: what pytest is asked to run, separated by spaces. ``tier``: "check" for quick
    unit tests of one file, "test" for what takes longer.
    """

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    tier: str = "check"

    def planted_in(self, source: str) -> str:
        """The source with this fault. Raises LookupError unless the snippet stands there once."""
        times = source.count(self.old)
        if times != 1:
            raise LookupError(f"{self.old!r} stands {times} times in {self.file}")
        return source.replace(self.old, self.new)


SHARDS = "tests/unit/data/test_webdataset.py::"
GENERATED = "tests/integration/test_generation.py::"
STAGES = "tests/integration/test_three_stages.py::"
PROCESSES = "tests/integration/test_processes.py::"

PSI = (
    Fault(
        name="psi-transposed",
        file="muse_core/losses/topology.py",
        old="matrix @ attention @ matrix.T",
        new="matrix @ attention.mT @ matrix.T",
        caught_by="tests/unit/losses/test_topology.py",
    ),
    Fault(
        name="psi-rows-not-renormalised",
        file="muse_core/losses/topology.py",
        old="return resized / resized.sum(-1, keepdim=True)",
        new="return resized",
        caught_by="tests/unit/losses/test_topology.py",
    ),
    Fault(
        name="psi-by-rows-not-renormalised",
        file="muse_core/losses/topology_target.py",
        old="return keys / keys.sum(-1, keepdim=True)",
        new="return keys",
        caught_by="tests/unit/losses/test_topology_target.py",
    ),
    Fault(
        name="teacher-heads-interleaved",
        file="muse_core/losses/topology.py",
        old='"b (heads group) q k -> b heads q k"',
        new='"b (group heads) q k -> b heads q k"',
        caught_by="tests/unit/losses/test_topology.py",
    ),
    Fault(
        name="prefix-kept-and-last-patches-dropped",
        file="muse_core/attention.py",
        old="queries=self.queries[:, :, prefix:], keys=self.keys[:, :, prefix:]",
        new="queries=self.queries[:, :, :-prefix], keys=self.keys[:, :, :-prefix]",
        caught_by="tests/unit/test_attention.py",
    ),
    Fault(
        name="registers-kept",
        file="muse_core/foundations/topology_teacher.py",
        old='return 1 + getattr(self.network.config, "num_register_tokens", 0)',
        new="return 1",
        caught_by="tests/unit/foundations/test_topology_teacher.py",
    ),
    Fault(
        name="teacher-layers-in-another-order",
        file="muse_core/foundations/topology_teacher.py",
        old="for layer in self.layers]",
        new="for layer in sorted(self.layers)]",
        caught_by="tests/unit/foundations/test_topology_teacher.py",
    ),
)
"""The teacher's map as the student should see it."""

FOUNDATIONS = (
    Fault(
        name="class-token-kept",
        file="muse_core/foundations/backbone.py",
        old="tokens[:, :prefix], tokens[:, prefix:]",
        new="tokens[:, :prefix], tokens[:, : rows * columns]",
        caught_by="tests/unit/foundations/test_backbone.py",
    ),
    Fault(
        name="imagenets-colours-for-every-backbone",
        file="muse_core/foundations/backbone.py",
        old="Normalise(*(self.colours.values() or IMAGENET))",
        new="Normalise(*IMAGENET)",
        caught_by="tests/unit/foundations/test_vision_transformers.py",
    ),
    Fault(
        name="released-halves-turned-as-neighbours",
        file="muse_core/models/release_checkpoint.py",
        old='"(heads half i) ... -> (heads i half) ..."',
        new='"(heads half i) ... -> (heads half i) ..."',
        caught_by="tests/unit/models/test_release_checkpoint.py",
    ),
    Fault(
        name="images-normalised-twice",
        file="muse_core/foundations/topology_teacher.py",
        old="return self.normalise(images)",
        new="return self.normalise(self.normalise(images))",
        caught_by="tests/unit/foundations/test_topology_teacher.py",
    ),
    Fault(
        name="mean-and-deviation-swapped",
        file="muse_core/foundations/image_normalisation.py",
        old="(images - self.mean) / self.std",
        new="(images - self.std) / self.mean",
        caught_by="tests/unit/foundations/test_image_normalisation.py",
    ),
    Fault(
        name="latents-scaled-the-wrong-way",
        file="muse_core/foundations/pixel_decoder.py",
        old='latents / self.config["scaling_factor"]',
        new='latents * self.config["scaling_factor"]',
        caught_by="tests/unit/foundations/test_pixel_decoder.py",
    ),
    Fault(
        name="teacher-in-training-mode",
        file="muse_core/foundations/topology_teacher.py",
        old="return super().train(False)",
        new="return super().train(mode)",
        caught_by="tests/unit/foundations/test_topology_teacher.py",
    ),
)

LOSSES = (
    Fault(
        name="divergence-the-other-way",
        file="muse_core/losses/topology.py",
        old="(torch.xlogy(teacher, teacher) - teacher * log_student)",
        new="log_student.exp() * (log_student - teacher.clamp_min(1e-30).log())",
        caught_by="tests/unit/losses/test_topology.py",
    ),
    Fault(
        name="topology-gradient-without-the-target",
        file="muse_core/losses/topology_block.py",
        old="exponentials.mul_(mass / partition).sub_(target)",
        new="exponentials.mul_(mass / partition)",
        caught_by="tests/unit/losses/test_topology_block.py",
    ),
    Fault(
        name="keys-learn-from-the-last-block-of-queries",
        file="muse_core/losses/fused_topology.py",
        old="into_keys[images] += terms.into_keys",
        new="into_keys[images] = terms.into_keys",
        caught_by="tests/unit/losses/test_fused_topology.py",
    ),
    Fault(
        name="contrast-of-one-direction",
        file="muse_core/losses/anchor.py",
        old="F.cross_entropy(logits.T, pairs)",
        new="F.cross_entropy(logits, pairs)",
        caught_by="tests/unit/losses/test_anchor.py",
    ),
    Fault(
        name="contrast-without-temperature",
        file="muse_core/losses/anchor.py",
        old="logits = scale * images @ texts.T",
        new="logits = images @ texts.T",
        caught_by="tests/unit/losses/test_anchor.py",
    ),
    Fault(
        name="negatives-of-this-process-alone",
        file="muse_core/losses/anchor.py",
        old="torch.cat(dist_functional.all_gather(embeddings))",
        new="embeddings",
        caught_by="tests/unit/losses/test_anchor.py",
    ),
    Fault(
        name="critic-hinge-flipped",
        file="muse_core/losses/adversarial.py",
        old="F.relu(1 + fake_logits)",
        new="F.relu(1 - fake_logits)",
        caught_by="tests/unit/losses/test_adversarial.py",
    ),
    Fault(
        name="lecam-pushes-away",
        file="muse_core/losses/adversarial.py",
        old="F.relu(real_logits - anchors.fake)",
        new="F.relu(anchors.fake - real_logits)",
        caught_by="tests/unit/losses/test_adversarial.py",
    ),
    Fault(
        name="loss-weight-ignored",
        file="muse_core/losses/objective.py",
        old="weights[loss] * term",
        new="term",
        caught_by="tests/unit/losses/test_objective.py",
    ),
    Fault(
        name="velocity-towards-data",
        file="muse_core/losses/flow_matching.py",
        old="noise - data",
        new="data - noise",
        caught_by="tests/unit/losses/test_flow_matching.py",
    ),
)

ROUTES = (
    Fault(
        name="topology-leaks-through-the-blocks",
        file="muse_core/models/synergistic_block.py",
        old="self.routing.read(state.hidden, trunk, trunk_hears)",
        new="state.hidden",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="semantics-leak-through-the-blocks",
        file="muse_core/models/synergistic_block.py",
        old="self.routing.read(state.hidden, state.trunk, bool(SEMANTIC_LOSSES & trunk_hears))",
        new="state.hidden",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="values-train-the-keys",
        file="muse_core/models/synergistic_block.py",
        old="cut(attention.keys)",
        new="attention.keys",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="pixels-train-the-semantic-values",
        file="muse_core/models/synergistic_block.py",
        old="self.routing.into_texture(semantic_values)",
        new="semantic_values",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="closed-trunk-open",
        file="muse_core/models/gradient_routes.py",
        old="straight_to(trunk, hidden) if trunk_hears else stop_gradient(hidden)",
        new="straight_to(trunk, hidden)",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="route-keeps-the-blocks-gradient",
        file="muse_core/models/gradient_routes.py",
        old="hidden.detach() + (trunk - trunk.detach())",
        new="hidden + (trunk - trunk.detach())",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="cell-of-the-table-opened",
        file="muse_core/models/gradient_routes.py",
        old="_ANCHOR = {",
        new="_ANCHOR = {WeightGroup.QUERY_KEY: Route.ALWAYS,",
        caught_by="tests/unit/models/test_gradient_routes.py",
    ),
    Fault(
        name="first-stage-opens-the-trunk",
        file="muse_core/config/stage.py",
        old="trunk_hears=TRUNK_CLOSED",
        new="trunk_hears=TRUNK_OPEN",
        caught_by="tests/unit/config/test_presets.py",
    ),
    Fault(
        name="critic-learns-from-the-tokenizers-step",
        file="muse_core/models/discriminator.py",
        old="weight.detach() for name, weight",
        new="weight for name, weight",
        caught_by="tests/unit/models/test_discriminator.py",
    ),
)

MODELS = (
    Fault(
        name="attention-without-its-scale",
        file="muse_core/models/synergistic_block.py",
        old="queries.shape[-1] ** -0.5",
        new="1.0",
        caught_by="tests/unit/models/test_synergistic_block.py",
    ),
    Fault(
        name="semantic-stream-forgets",
        file="muse_core/models/synergistic_block.py",
        old="state.semantic + seen",
        new="seen",
        caught_by="tests/unit/models/test_synergistic_block.py",
    ),
    Fault(
        name="patches-joined-by-columns",
        file="muse_core/models/connector.py",
        old="b (h w) (p q c)",
        new="b (h w) (q p c)",
        caught_by="tests/unit/models/test_connector.py",
    ),
)

TRAINING = (
    Fault(
        name="temperature-without-its-cap",
        file="muse_core/models/semantic_head.py",
        old="self.log_scale.clamp(max=MAX_LOG_SCALE).exp()",
        new="self.log_scale.exp()",
        caught_by="tests/unit/models/test_semantic_head.py",
    ),
    Fault(
        name="callbacks-of-earlier-pieces-in-the-seconds",
        file="muse_core/training/metrics_logger.py",
        old='dict(facts.get("callbacks", {}))',
        new='dict.fromkeys(facts["callbacks"], 0.0)',
        caught_by="tests/unit/training/test_metrics_logger.py",
    ),
    Fault(
        name="captions-cut-before-counted-again",
        file="muse_core/training/tokenizer_task.py",
        old="+= self.teachers.text.truncated - before",
        new="+= self.teachers.text.truncated",
        caught_by="tests/unit/training/test_tokenizer_task.py",
    ),
    Fault(
        name="losses-without-a-name-travel",
        file="muse_core/training/stage_run.py",
        old='if not called or ("." in called and "<" not in called):',
        new='if "." in called and "<" not in called:',
        caught_by="tests/unit/training/test_stage_run.py",
    ),
    Fault(
        name="backbone-unfrozen-in-every-stage",
        file="muse_core/training/optimiser.py",
        old="(stage.trunk_hears, stage.trains_backbone, tokenizer.routing)",
        new="(stage.trunk_hears, True, tokenizer.routing)",
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="frozen-backbone-in-training-mode",
        file="muse_core/training/optimiser.py",
        old="tokenizer.backbone.train(stage.trains_backbone)",
        new="tokenizer.backbone.train()",
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="backbone-at-the-full-rate",
        file="muse_core/training/optimiser.py",
        old="stage.learning_rate * shares.get(name, 1.0)",
        new="stage.learning_rate",
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="no-warm-up",
        file="muse_core/training/optimiser.py",
        old="return (step + 1) / warmup",
        new="return 1.0",
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="straight-line-for-a-cosine",
        file="muse_core/training/optimiser.py",
        old="0.5 * (1 + math.cos(math.pi * progress))",
        new="(1 - progress)",
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="all-groups-clipped-together",
        file="muse_core/training/optimiser.py",
        old='_clip(group["params"], max_norm)',
        new='_clip([w for each in optimiser.param_groups for w in each["params"]], max_norm)',
        caught_by="tests/unit/training/test_optimiser.py",
    ),
    Fault(
        name="average-at-another-decay",
        file="muse_core/training/tokenizer_task.py",
        old="EMAModel(self.weights.values(), decay=stage.ema_decay, foreach=True)",
        new="EMAModel(self.weights.values(), foreach=True)",
        caught_by="tests/unit/training/test_tokenizer_task.py",
    ),
    Fault(
        name="loss-on-every-image",
        file="muse_core/training/loss_terms.py",
        old="return max(1, round(stage.shares.get(loss, 1.0) * count))",
        new="return count",
        caught_by="tests/unit/training/test_loss_terms.py",
    ),
    Fault(
        name="views-of-another-teacher",
        file="muse_core/training/teacher_cache.py",
        old="{weights_digest(teacher)} {_settings(teacher)} {shape}",
        new="{_settings(teacher)} {shape}",
        caught_by="tests/unit/training/test_teacher_cache.py",
    ),
    Fault(
        name="views-over-the-limit",
        file="muse_core/training/teacher_cache.py",
        old="if _has_room(self._folder, sum(map(len, rows.values())), self.limit):",
        new="if True:",
        caught_by="tests/unit/training/test_teacher_cache.py",
    ),
    Fault(
        name="index-of-yesterday",
        file="muse_core/report/index.py",
        old="found.st_mtime_ns",
        new="0",
        caught_by="tests/unit/report/test_index.py",
    ),
    Fault(
        name="average-not-given-back",
        file="muse_core/training/task.py",
        old="self.average.restore(self.weights.values())",
        new="pass",
        caught_by="tests/unit/training/test_tokenizer_task.py",
    ),
    Fault(
        name="moments-lost-in-the-checkpoint",
        file="muse_core/training/checkpoint.py",
        old="name: part_of(value, weight) for",
        new="name: torch.zeros_like(weight) for",
        caught_by="tests/unit/training/test_checkpoint.py",
    ),
    Fault(
        name="checkpoint-not-verified",
        file="muse_core/training/checkpoint.py",
        old="return expected == _digests(checkpoint)",
        new="return expected.keys() == _digests(checkpoint).keys()",
        caught_by="tests/unit/training/test_checkpoint.py",
    ),
)

DATA = (
    Fault(
        name="epoch-order-ignores-the-seed",
        file="muse_core/data/loader.py",
        old="asked.seed * 100_003 + epoch",
        new="epoch",
        caught_by="tests/unit/data/test_loader.py",
    ),
    Fault(
        name="every-epoch-in-one-order",
        file="muse_core/data/loader.py",
        old="asked.seed * 100_003 + epoch",
        new="asked.seed * 100_003",
        caught_by="tests/unit/data/test_loader.py",
    ),
    Fault(
        name="resumed-at-the-first-batch",
        file="muse_core/data/loader.py",
        old="in range(asked.start, asked.stop)",
        new="in range(asked.stop - asked.start)",
        caught_by="tests/unit/data/test_loader.py",
    ),
    Fault(
        name="last-sample-of-a-batch-lost",
        file="muse_core/data/loader.py",
        old="order[first : first + asked.batch_size]",
        new="order[first : first + asked.batch_size - 1]",
        caught_by="tests/unit/data/test_loader.py",
    ),
    Fault(
        name="processes-see-the-same-images",
        file="muse_core/data/loader.py",
        old="whole[asked.rank :: asked.processes]",
        new="whole[:: asked.processes]",
        caught_by="tests/unit/data/test_loader.py",
    ),
    Fault(
        name="caption-ignores-the-seed",
        file="muse_core/data/caption_sampling.py",
        old='f"{seed}/{name}", len(captions)',
        new='f"{name}", len(captions)',
        caught_by="tests/unit/data/test_caption_sampling.py",
    ),
    Fault(
        name="every-epoch-with-one-caption",
        file="muse_core/data/caption_sampling.py",
        old='f"{seed}/{name}", len(captions)) + epoch',
        new='f"{seed}/{name}", len(captions))',
        caught_by="tests/unit/data/test_caption_sampling.py",
    ),
    Fault(
        name="corpus-starts-again-with-the-same-captions",
        file="muse_core/data/mixture.py",
        old="epoch * rounds + again",
        new="epoch * rounds",
        caught_by="tests/unit/data/test_mixture.py",
    ),
    Fault(
        name="stream-trains-on-its-own-test",
        file="muse_core/data/hub_stream.py",
        old="hash_fraction(name))] == split",
        new="hash_fraction(name))] in shares",
        caught_by="tests/unit/data/test_hub_stream.py",
    ),
    Fault(
        name="resumed-stream-reads-the-epoch-again",
        file="muse_core/data/hub_stream.py",
        old="rows.load_state_dict(self.states[worker])",
        new="pass",
        caught_by="tests/unit/data/test_hub_stream.py",
    ),
    Fault(
        name="train-leaks-into-val",
        file="muse_core/data/splits.py",
        old="order[rank == place]",
        new="order[rank <= place]",
        caught_by="tests/unit/data/test_splits.py",
    ),
    Fault(
        name="val-stays-in-test",
        file="muse_core/data/splits.py",
        old='return known["test"], HALVES',
        new='return known["test"], {split: 1.0}',
        caught_by="tests/unit/data/test_splits.py",
    ),
    Fault(
        name="masks-interpolated",
        file="muse_core/data/decode.py",
        old="Image.Resampling.NEAREST",
        new="Image.Resampling.BILINEAR",
        caught_by="tests/unit/data/test_decode.py",
    ),
    Fault(
        name="rotation-ignored",
        file="muse_core/data/decode.py",
        old="ImageOps.exif_transpose(image, in_place=True)",
        new="image.load()",
        caught_by="tests/unit/data/test_decode.py",
    ),
    Fault(
        name="last-sample-of-a-shard-skipped",
        file="muse_core/data/tar_index.py",
        old="in groupby(used, key=lambda one: one[0])",
        new="in groupby(used[:-1], key=lambda one: one[0])",
        caught_by=SHARDS + "test_each_sample_is_in_one_split_with_all_that_belongs_to_it",
    ),
    Fault(
        name="mixture-in-equal-parts",
        file="muse_core/data/mixture.py",
        old="int(epoch * weight / total)",
        new="int(epoch / len(weights))",
        caught_by="tests/unit/data/test_mixture.py",
    ),
    Fault(
        name="unknown-name-without-the-choices",
        file="muse_core/errors.py",
        old=": choose one of {', '.join(names)}.",
        new=".",
        caught_by="tests/unit/test_errors.py tests/unit/config/test_presets.py",
    ),
)

EVALUATION = (
    Fault(
        name="void-pixels-counted",
        file="muse_core/evaluation/understanding/segmentation.py",
        old="zip(predicted, masks[part], strict=True)",
        new="zip(predicted, masks[part] % IGNORED_PIXEL, strict=True)",
        caught_by="tests/unit/evaluation/understanding/test_segmentation.py",
    ),
    Fault(
        name="prompts-not-normalised",
        file="muse_core/evaluation/understanding/zero_shot.py",
        old="F.normalize(torch.cat([text_embeddings(tower, part) for part in parts]), dim=-1)",
        new="torch.cat([text_embeddings(tower, part) for part in parts])",
        caught_by="tests/unit/evaluation/understanding/test_zero_shot.py",
    ),
    Fault(
        name="frechet-in-single-precision",
        file="muse_core/evaluation/reconstruction/frechet.py",
        old="_moments(features.double())",
        new="_moments(features.float())",
        caught_by="tests/unit/evaluation/reconstruction/test_frechet.py",
    ),
    Fault(
        name="comparison-not-paired",
        file="muse_core/evaluation/comparisons.py",
        old="one, other = a.per_image.get(metric), b.per_image.get(metric)\n    if",
        new="one, other = a.per_image.get(metric), b.per_image.get(metric).flip(0)\n    if",
        caught_by="tests/unit/evaluation/test_comparisons.py",
    ),
    Fault(
        name="psnr-of-another-range",
        file="muse_core/evaluation/reconstruction/pixel_metrics.py",
        old='data_range=1.0, reduction="none", dim=(1, 2, 3)',
        new='data_range=2.0, reduction="none", dim=(1, 2, 3)',
        caught_by="tests/unit/evaluation/reconstruction/test_pixel_metrics.py",
    ),
)

GENERATION = (
    Fault(
        name="the-other-captions-dropped",
        file="muse_core/generation/denoiser_task.py",
        old="own(torch.rand(images)) < stage.caption_dropout",
        new="own(torch.rand(images)) >= stage.caption_dropout",
        caught_by="tests/unit/generation/test_denoiser_task.py",
    ),
    Fault(
        name="guidance-from-the-wrong-end",
        file="muse_core/generation/pipeline.py",
        old="without + guidance * (with_prompt - without)",
        new="with_prompt + guidance * (with_prompt - without)",
        caught_by="tests/unit/generation/test_pipeline.py",
    ),
    Fault(
        name="latents-not-moved-back",
        file="muse_core/generation/latent_normalisation.py",
        old="latents * self.std.view(-1, 1, 1) + self.mean.view(-1, 1, 1)",
        new="latents * self.std.view(-1, 1, 1)",
        caught_by="tests/unit/generation/test_latent_normalisation.py",
    ),
)

WHOLE_RUNS = (
    Fault(
        name="lecam-anchors-forgotten",
        file="muse_core/training/critic.py",
        old='LeCamAnchors(*facts["lecam"])',
        new="LeCamAnchors()",
        caught_by=STAGES + "test_a_hard_stop_resumes_from_the_last_checkpoint",
        tier="test",
    ),
    Fault(
        name="optimiser-not-restored",
        file="muse_core/training/task.py",
        old="restore_optimiser(optimiser.optimizer, names_of(module), name, tensors)",
        new="pass",
        caught_by=STAGES + "test_a_hard_stop_resumes_from_the_last_checkpoint",
        tier="test",
    ),
    Fault(
        name="random-state-of-training-not-restored",
        file="muse_core/training/task.py",
        old='torch.set_rng_state(tensors["rng/cpu"])',
        new="pass",
        caught_by=STAGES + "test_a_hard_stop_resumes_from_the_last_checkpoint",
        tier="test",
    ),
    Fault(
        name="resumed-under-other-parameters",
        file="muse_core/training/trainer.py",
        old="        if first != second:\n",
        new="        if False:\n",
        caught_by=STAGES + "test_resuming_with_another_parameter_is_refused",
        tier="test",
    ),
    Fault(
        name="resumed-on-other-data",
        file="muse_core/training/trainer.py",
        old='"data": getattr(self.data, "fingerprint", ""),',
        new='"data": "",',
        caught_by=STAGES + "test_resuming_with_other_data_is_refused",
        tier="test",
    ),
    Fault(
        name="processes-for-a-finished-stage",
        file="muse_core/training/trainer.py",
        old="self._trained_already() or self._train_launched()",
        new="self._train_launched()",
        caught_by=STAGES + "test_a_finished_stage_starts_no_processes_either",
        tier="test",
    ),
    Fault(
        name="sum-over-processes-for-a-mean",
        file="muse_core/training/distributed.py",
        old='device=accelerator.device), "mean"',
        new='device=accelerator.device), "sum"',
        caught_by=PROCESSES + "test_the_critic_and_its_anchors_are_shared",
        tier="test",
    ),
    Fault(
        name="images-not-divided-among-processes",
        file="muse_core/data/loader.py",
        old="yield epoch, whole[asked.rank :: asked.processes].tolist()",
        new="yield epoch, whole.tolist()",
        caught_by=SHARDS + "test_workers_and_processes_read_each_sample_once_an_epoch",
        tier="test",
    ),
    Fault(
        name="processes-wait-for-weights-no-loss-reaches",
        file="muse_core/training/tokenizer_task.py",
        old="        self._freeze_unheard()\n",
        new="",
        caught_by=PROCESSES + "test_every_stage_trains_under_every_routing_in_two_processes",
        tier="test",
    ),
    Fault(
        name="relative-path-of-the-workspace-first",
        file="muse_core/paths.py",
        old="ours if _found(ours) > _found(here) else here",
        new="here if _found(here) > _found(ours) else ours",
        caught_by="tests/unit/test_paths.py",
        tier="test",
    ),
    Fault(
        name="pages-stay-when-their-data-changed",
        file="muse_core/report/run.py",
        old="(before.status, before.key, before.data) == wanted",
        new="(before.status, before.key) == wanted[:2]",
        caught_by="tests/unit/report/test_run.py::test_the_same_command_runs_again_when_its_data_changed",
        tier="test",
    ),
)
"""What only several packages together show."""

SYSTEMS = (
    Fault(
        name="shared-index-hears-one-codebook",
        file="muse_core/baselines/quantisers.py",
        old="return sum(apart[1:], apart[0]).argmin(-1)",
        new="return apart[0].argmin(-1)",
        caught_by="tests/unit/baselines/test_quantisers.py",
    ),
    Fault(
        name="residual-not-taken-away",
        file="muse_core/baselines/quantisers.py",
        old="total, rest = total + grown, rest - grown.detach()",
        new="total, rest = total + grown, together.detach()",
        caught_by="tests/unit/baselines/test_quantisers.py",
    ),
    Fault(
        name="vision-foundation-margin-ignored",
        file="muse_core/baselines/va_vae.py",
        old="distance = F.relu(apart - distance_margin).mean()",
        new="distance = apart.mean()",
        caught_by="tests/unit/baselines/test_va_vae.py",
    ),
    Fault(
        name="heads-of-the-projection-summed",
        file="muse_core/baselines/unitok.py",
        old="F.scaled_dot_product_attention(query, key, value).mean(1)",
        new="F.scaled_dot_product_attention(query, key, value).sum(1)",
        caught_by="tests/unit/baselines/test_unitok.py",
    ),
    Fault(
        name="student-sees-what-is-hidden",
        file="muse_core/baselines/vtp.py",
        old="seen, guessed = self.student(views, hidden)",
        new="seen, guessed = self.student(views)",
        caught_by="tests/unit/baselines/test_vtp.py",
    ),
    Fault(
        name="teachers-momentum-turned-round",
        file="muse_core/baselines/self_distillation.py",
        old="mean.lerp_(weight.to(mean), 1 - momentum)",
        new="mean.lerp_(weight.to(mean), momentum)",
        caught_by="tests/unit/baselines/test_self_distillation.py",
    ),
    Fault(
        name="noise-outside-training",
        file="muse_core/baselines/rae.py",
        old="self.with_noise(latent) if self.training else latent",
        new="self.with_noise(latent)",
        caught_by="tests/unit/baselines/test_rae.py",
    ),
    Fault(
        name="backbone-at-the-whole-rate",
        file="muse_core/training/visual_tokenizer_task.py",
        old="(tuned, rate * self.stage.backbone_rate)",
        new="(tuned, rate)",
        caught_by="tests/unit/baselines/test_unilip.py",
    ),
    Fault(
        name="adaptive-weight-turned-round",
        file="muse_core/training/visual_tokenizer_task.py",
        old='min(sizes["pixels"] / (sizes["own"] + 1e-4), LARGEST_RATIO)',
        new='min(sizes["own"] / (sizes["pixels"] + 1e-4), LARGEST_RATIO)',
        caught_by="tests/unit/training/test_visual_tokenizer_task.py",
    ),
)
"""The systems of Table 1."""

FAULTS = (
    *PSI,
    *FOUNDATIONS,
    *LOSSES,
    *ROUTES,
    *MODELS,
    *SYSTEMS,
    *TRAINING,
    *DATA,
    *EVALUATION,
    *GENERATION,
    *WHOLE_RUNS,
)
