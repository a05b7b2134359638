"""The training loop of a tutorial for translation: one pair, one token and one step at a time.

The networks and the loop are those of PyTorch's tutorial "Translation with a Sequence to Sequence Network and
Attention" (2017), trained as in chapter 11 of Baileyswu/pytorch-exercise. The comparison shows the gain of batches.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss, relu

from rnnexp.benchmark.measurement import TimedSteps, now
from rnnexp.text.vocabulary import BOS, EOS

HIDDEN_SIZE, DROPOUT, LEARNING_RATE, TEACHER_FORCING = 256, 0.1, 0.01, 0.5
WARMUP_PAIRS = 3

Pair = tuple[Tensor, Tensor]
"""A source and a target as int64 [time], each ended by EOS, without BOS, on the device."""


class TutorialEncoder(nn.Module):
    """A GRU that reads one token per call."""

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)

    def forward(self, token: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output and the next h, [1, 1, hidden] each, for a token int64 [1] and h [1, 1, hidden]."""
        output, h = self.gru(self.embedding(token).view(1, 1, -1), h)
        return output, h


class TutorialDecoder(nn.Module):
    """A GRU that predicts one token per call, with attention over positions that does not depend on the annotations.

    Args:
        vocab_size: the number of target tokens.
        hidden_size: features of the embedding and of the GRU.
        max_length: the number of source positions.
    """

    def __init__(self, vocab_size: int, hidden_size: int, max_length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.dropout = nn.Dropout(DROPOUT)
        self.attention = nn.Linear(2 * hidden_size, max_length)
        self.combination = nn.Linear(2 * hidden_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocab_size)

    def forward(self, token: Tensor, h: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            token: the previous token, int64 [1].
            h: the previous state [1, 1, hidden].
            encoded: the encoder's outputs [max_length, hidden], zero past the source's end.

        Returns:
            Log-probabilities of the next token [1, vocab], and the next h.
        """
        embedded = self.dropout(self.embedding(token).view(1, 1, -1))
        weights = self.attention(torch.cat([embedded[0], h[0]], dim=1)).softmax(dim=1)
        context = torch.bmm(weights.unsqueeze(0), encoded.unsqueeze(0))
        combined = self.combination(torch.cat([embedded[0], context[0]], dim=1)).unsqueeze(0)
        output, h = self.gru(relu(combined), h)
        return log_softmax(self.output(output[0]), dim=1), h


class TutorialModel:
    """Both networks and their optimizers.

    Args:
        source_vocab_size, target_vocab_size: the numbers of tokens.
        max_length: tokens of the longest source, including EOS.
        device: the device of the networks.
        seed: the seed of the weights and of the choice of pairs with teacher forcing.
        hidden_size: features of both networks.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        max_length: int,
        device: torch.device,
        seed: int,
        hidden_size: int = HIDDEN_SIZE,
    ) -> None:
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.encoder = TutorialEncoder(source_vocab_size, hidden_size).to(device)
        self.decoder = TutorialDecoder(target_vocab_size, hidden_size, max_length).to(device)
        self.optimizers = [
            torch.optim.SGD(network.parameters(), lr=LEARNING_RATE) for network in (self.encoder, self.decoder)
        ]
        self.max_length, self.hidden_size, self.device = max_length, hidden_size, device

    def train_on(self, pair: Pair) -> float:
        """Take one step of both optimizers, and return the loss per target token in nats."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss = self.loss(pair, is_teacher_forced=torch.rand((), generator=self.generator).item() < TEACHER_FORCING)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item() / len(pair[1])

    def loss(self, pair: Pair, is_teacher_forced: bool) -> Tensor:
        """Return the loss summed over the target's tokens.

        Args:
            pair: source and target.
            is_teacher_forced: whether the decoder reads the tokens of the target; otherwise it reads its own, until
                it predicts EOS.
        """
        source, target = pair
        h = torch.zeros(1, 1, self.hidden_size, device=self.device)
        encoded = torch.zeros(self.max_length, self.hidden_size, device=self.device)
        for position in range(len(source)):
            output, h = self.encoder(source[position : position + 1], h)
            encoded[position] = output[0, 0]
        token = torch.tensor([BOS], device=self.device)
        loss = torch.zeros((), device=self.device)
        for position in range(len(target)):
            log_probs, h = self.decoder(token, h, encoded)
            expected = target[position : position + 1]
            loss = loss + nll_loss(log_probs, expected)
            if is_teacher_forced:
                token = expected
            else:
                token = log_probs.argmax(dim=1)
                if token.item() == EOS:
                    break
        return loss


class TutorialLoop:
    """A callable that trains on pairs, one after the other, and times all but the first `WARMUP_PAIRS`.

    Args:
        pairs: `WARMUP_PAIRS` pairs that are not timed, and the timed pairs.
        source_vocab_size, target_vocab_size, device, seed: see `TutorialModel`.
    """

    def __init__(
        self, pairs: list[Pair], source_vocab_size: int, target_vocab_size: int, device: torch.device, seed: int
    ) -> None:
        self.pairs, self.device, self.seed = pairs, device, seed
        self.sizes = source_vocab_size, target_vocab_size, max(len(source) for source, _ in pairs)

    def __call__(self) -> TimedSteps:
        """Train, and return the time of the timed pairs."""
        model = TutorialModel(*self.sizes, self.device, self.seed)
        for pair in self.pairs[:WARMUP_PAIRS]:
            model.train_on(pair)
        start, loss = now(self.device), float("nan")
        for pair in self.pairs[WARMUP_PAIRS:]:
            loss = model.train_on(pair)
        return TimedSteps(now(self.device) - start, loss)
