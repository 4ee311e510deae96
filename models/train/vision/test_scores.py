"""Checks the scores on examples that were worked out by hand.

    test_scores.py
"""

import math
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from vision import words
from vision.scores import bleu4, cider_d


class Bleu(unittest.TestCase):
    def test_the_same(self):
        s = "a dog runs over the grass".split()
        self.assertAlmostEqual(bleu4([s], [[s]]), 100)

    def test_by_hand(self):
        # 6 words of which "cat" is wrong: 5/6, 3/5, 2/4, 1/3, no brevity penalty.
        got = bleu4(["a cat runs over the grass".split()], [["a dog runs over the grass".split()]])
        self.assertAlmostEqual(got, 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)

    def test_clipped(self):
        # Papineni's example for one n: "the" seven times counts twice; no 2-gram is right.
        self.assertEqual(bleu4(["the the the the the the the".split()], [["the cat is on the mat".split()]]), 0)

    def test_brevity(self):
        # All n-grams of the 4 words are right; references of 5 and 8, the closest is 5.
        got = bleu4(["a dog runs over".split()], [["a dog runs over it".split(), "a dog runs over the grass and away".split()]])
        self.assertAlmostEqual(got, 100 * math.exp(1 - 5 / 4))

    def test_brevity_takes_the_shorter_on_a_tie(self):
        got = bleu4(["a b c d e".split()], [["a b c d".split(), "a b c d e f".split()]])
        self.assertAlmostEqual(got, 100)

    def test_counts_are_summed_over_the_corpus(self):
        got = bleu4(["a b c d".split(), "e f g h".split()], [["a b c d".split()], ["e f g x".split()]])
        self.assertAlmostEqual(got, 100 * (7 / 8 * 5 / 6 * 3 / 4 * 1 / 2) ** 0.25)


class Cider(unittest.TestCase):
    def test_the_same(self):
        a, b = "a dog runs fast".split(), "two men play football".split()
        self.assertAlmostEqual(cider_d([a, b], [[a], [b]]), 10)

    def test_words_of_every_image_say_nothing(self):
        a = "a dog runs fast".split()
        self.assertEqual(cider_d([a, a], [[a], [a]]), 0)

    def test_by_hand(self):
        # Two images of one reference each. idf of "a" is 0, of all else log 2.
        # Candidate "a cat" of reference "a dog barks": no 1-gram but "a": 0; the
        # second is its reference without the last word:
        #   n=1: candidate {b}, reference {b, c}: 1 / sqrt 2 (and "a" weighs 0)
        #   n=2: {a b} of {a b, b c}: 1 / sqrt 2;  n=3, 4: none
        #   length differs by 1: exp(-1/72)
        got = cider_d(["a cat".split(), "a b".split()], [["a dog barks".split()], ["a b c".split()]])
        self.assertAlmostEqual(got, 10 * (2 / math.sqrt(2)) / 4 * math.exp(-1 / 72) / 2)

    def test_repeats_are_clipped(self):
        # n=1: candidate {b: 2}, reference {b: 1, c: 1}: min(2, 1) * 1 / (2 * sqrt 2);
        # n=2: {b b} of {b c}: 0. The other image only makes the document frequencies.
        got = cider_d(["b b".split(), "x".split()], [["b c".split()], ["y".split()]])
        self.assertAlmostEqual(got, 10 * (1 / (2 * math.sqrt(2))) / 4 / 2)


class Words(unittest.TestCase):
    def test_tokens(self):
        self.assertEqual(words.tokens("A tri-colored Dog , running ."), ["a", "tri-colored", "dog", "running"])

    def test_vocabulary(self):
        images = [("x", [["b", "a"], ["b", "c"]]), ("y", [["b", "a"]])]
        self.assertEqual(words.vocabulary(images, 2), ["<start>", "<end>", "<unk>", "b", "a"])


if __name__ == "__main__":
    unittest.main()
