// Vectors of as many numbers as the CPU takes at once, and elementwise functions on them.
//
// The compiler's vector types, not intrinsics: the same text serves SSE, AVX, AVX-512 and NEON.
// Infinities and NaN go where IEEE arithmetic sends them; all functions let NaN through.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if SINGLE
typedef float S;
typedef int32_t Word;
#else
typedef double S;
typedef int64_t Word;
#endif

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif
constexpr long LANES = BYTES / sizeof(S);

typedef S V __attribute__((vector_size(BYTES)));
typedef S Unaligned __attribute__((vector_size(BYTES), aligned(sizeof(S)), may_alias));
typedef Word W __attribute__((vector_size(BYTES)));

#define INLINE static inline __attribute__((always_inline))

INLINE V fill(S value) { return value - V{}; }
INLINE V load(const S* from) { return *(const Unaligned*)from; }
INLINE void store(S* to, V value) { *(Unaligned*)to = value; }

// The first `count` numbers of a vector, at the end of a row, in pieces of known sizes.
INLINE V load_part(const S* from, long count) {
  V value{};
  char* to = (char*)&value;
#pragma GCC unroll 8
  for (long some = LANES / 2; some >= 1; some /= 2)
    if (count & some) {
      std::memcpy(to, from, some * sizeof(S));
      to += some * sizeof(S), from += some;
    }
  return value;
}
INLINE void store_part(S* to, V value, long count) {
  const char* from = (const char*)&value;
#pragma GCC unroll 8
  for (long some = LANES / 2; some >= 1; some /= 2)
    if (count & some) {
      std::memcpy(to, from, some * sizeof(S));
      to += some, from += some * sizeof(S);
    }
}
INLINE S sum_of(V value) {
  S part[LANES];
  std::memcpy(part, &value, BYTES);
#pragma GCC unroll 8
  for (long half = LANES / 2; half >= 1; half /= 2)
#pragma GCC unroll 16
    for (long lane = 0; lane < half; lane++) part[lane] += part[lane + half];
  return part[0];
}

INLINE W bits_of(V value) {
  W bits;
  std::memcpy(&bits, &value, BYTES);
  return bits;
}
INLINE V of_bits(W bits) {
  V value;
  std::memcpy(&value, &bits, BYTES);
  return value;
}

// The nearest bfloat16, ties to even. float64 is never narrowed.
INLINE V narrowed(V value) {
#if SINGLE
  W bits = bits_of(value);
  V near = of_bits((bits + 0x7fff + ((bits >> 16) & 1)) & -65536);
  return value != value ? value : near;
#else
  return value;
#endif
}

// ------------------------------------------------------------------------ elementwise functions
INLINE V where(V chosen, V a, V b) { return chosen != 0 ? a : b; }
INLINE V truth(W chosen) { return chosen ? fill(1) : fill(0); }
INLINE V maximum(V a, V b) { return (a > b) | (a != a) ? a : b; }
INLINE V minimum(V a, V b) { return (a < b) | (a != a) ? a : b; }
INLINE V absolute(V a) { return of_bits(bits_of(a) & ~bits_of(fill(S(-0.0)))); }
INLINE V clamp(V x, S low, S high) {
  x = x < low ? fill(low) : x;
  return x > high ? fill(high) : x;
}

// exp(x) = scale (1 + q), for |x| at most EDGE: scale = 2^n with n the integer nearest to x / ln 2,
// q = exp(r) - 1 of what is left, |r| < 0.35, by its Taylor series.
struct Exponential {
  V scale, q;
};
constexpr S EDGE = SINGLE ? 87 : 708;
INLINE Exponential exponential(V x) {
#if SINGLE
  // ln 2 in two parts, the first so short that n times it is exact
  const S ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723212e-06f;
  const S magic = 12582912;  // 1.5 * 2^23: adding it leaves the nearest integer in the last bits
  constexpr int mantissa = 23, bias = 127, terms = 7;
#else
  const S ln2_high = 0.69314718246459960938, ln2_low = -1.904654299957767878541e-09;
  const S magic = 6755399441055744;  // 1.5 * 2^52
  constexpr int mantissa = 52, bias = 1023, terms = 13;
#endif
  static constexpr double factorial[] = {1,      1,       2,        6,         24,
                                         120,    720,     5040,     40320,     362880,
                                         3628800, 39916800, 479001600, 6227020800};
  V shifted = x * S(1.44269504088896340736) + magic;
  V n = shifted - magic;
  V r = (x - n * ln2_high) - n * ln2_low;
  V series = fill(S(1 / factorial[terms]));
#pragma GCC unroll 16
  for (int k = terms - 1; k >= 2; k--) series = series * r + S(1 / factorial[k]);
  Exponential made;
  made.scale = of_bits((bits_of(shifted) - bits_of(fill(magic)) + bias) << mantissa);
  made.q = r + r * r * series;
  return made;
}
INLINE V exp_within(V x) {
  Exponential e = exponential(x);
  return e.scale * e.q + e.scale;
}
INLINE V exp(V x) {  // the square of the root's, which overflows and vanishes where exp does
  V root = exp_within(clamp(x * S(0.5), -EDGE, EDGE));
  return root * root;
}
INLINE V sigmoid(V x) { return 1 / (1 + exp_within(clamp(-x, -EDGE, EDGE))); }
// (exp(2x) - 1) / (exp(2x) + 1), where the small numerator loses nothing to cancellation
INLINE V tanh(V x) {
  constexpr S flat = SINGLE ? 10 : 20;  // tanh is 1 from there on
  Exponential e = exponential(2 * clamp(x, -flat, flat));
  V less = e.scale * e.q + (e.scale - 1);
  return less / (less + 2);
}

// Seldom used, and left to the C library.
template <S function(S)>
INLINE V each(V x) {
  for (long lane = 0; lane < LANES; lane++) x[lane] = function(x[lane]);
  return x;
}
INLINE V sqrt(V x) { return each<std::sqrt>(x); }
INLINE V log(V x) { return each<std::log>(x); }
INLINE V log1p(V x) { return each<std::log1p>(x); }
