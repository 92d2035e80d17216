// Package release is the rules that make figures anonymous. It is pure: cells in, publishable figures out.
//
// # The k-rule
//
// A cell with fewer than k distinct persons is not published. [Fold] merges such cells into one whose last dimension reads "(other)", if
// together they have k distinct persons; what is still below k is merged further with the next dimension up also reading "(other)", and so on. What
// cannot reach k even with every dimension folded is left out, and only the fact that something was left out is told.
//
// Distinct means distinct: a person with ten rare intents is one person of the folded cell. That is why a cell that may be folded must bring its
// members with it; a sum of counts would let one person pass for ten.
//
// With k = 3, of the cells (fr, order: 7 persons), (fr, refund: 2), (fr, hello: 2 others), (en, order: 1), the first is published, the second and
// third as (fr, (other): 4), and the fourth not at all: (en, (other)) has one person, and ((other), (other)) still one, as what was published
// is not folded again.
//
// # Totals
//
// A total is a sum of published figures ([Total], [Roll]), never of hidden ones, so subtracting tells nothing. Persons have no total: they are
// distinct within one cell of one period.
//
// # Provisional figures
//
// [Provisional] rounds every count down to a multiple of k.
//
// # The close
//
// A [Table] takes in, person by person, what a projection counted in one period, and gives the figures of its [Release]:
//
//   - of one person at most [Rules].Bound is taken of each measure in each cell;
//   - the k-rule;
//   - the distinct persons of a week or month are told as a multiple of k, rounded down. They overlap with those of its days, and an exact number
//     would tell how many persons the days hide.
//
// # Noise
//
// With an ε the figures of a release are differentially private: whoever sees them cannot tell well whether any one person's contributions to that projection
// in that period are in them, whatever else they know, persons that they play themselves included. What holds is (ε, δ) for adding or removing one person:
//
//   - of one person at most [MaxCells] cells count, and in each measures of at most [Weight] × Bound together, scaled down if there are more;
//   - half of ε (all of it where there are only persons) goes to the counts of persons. A person stands in at most MaxCells cells, and in as many groups
//     on each level of folding, so with D dimensions each count gets discrete Laplace noise of scale MaxCells × (D + 1) / (ε/2);
//   - the k-rule, and the published persons, use the noised count and nothing else. It must reach the threshold: k, or more where k alone would let a cell of one
//     person pass more often than once in 2^20 ([Rules.Threshold]). So δ is at most MaxCells × (D + 1) × 2^-20;
//   - the other half goes to the measures of what is published: noise of scale MaxCells × Weight × Bound / (ε/2). What falls below zero reads 0.
//
// [Laplace] samples exactly, with integers alone: C. Canonne, G. Kamath, T. Steinke, The Discrete Gaussian for Differential Privacy (2020), algorithms 1 and 2. So
// there is none of the leaks of noise that is made of floating-point numbers. How long a draw takes depends on what is drawn: releases are not made
// on demand, and nobody sees when.
//
// # Not here
//
// These rules do not know how often figures are renewed nor what a budget is, and without noise do not defend against somebody who plays k − 1 persons, nor against
// subtracting figures of two projections that count the same thing: the cells that one of them hides are in a coarser cell of the other.
//
// # Format
//
// A [Release] is a record of the stream STATS_<tenant>, in deterministic CBOR (RFC 8949, 4.2.1) with whole numbers as keys; see the type. [Decode] takes nothing
// that [Release.Encode] would write otherwise. Its [Hash] is SHA-256 over "oubli/release/1", a zero byte and the record.
package release
