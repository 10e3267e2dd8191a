// Products of a step's rows with weights that stay the same for all steps.
//
// Weights are packed once, into panels of PANEL columns, so that every step reads them in order.
// A tile of TILE rows by one panel is added up in registers.

#if defined(__AVX512F__) || defined(__aarch64__)  // 32 registers
constexpr int TILE = 8, WIDTH = 3;
#else  // 16 registers
constexpr int TILE = 6, WIDTH = 2;
#endif
constexpr long PANEL = WIDTH * LANES;
constexpr long DEPTH = 384;  // rows of a panel that stay in the first cache meanwhile

enum Start { FROM_ZERO, FROM_BIAS, FROM_TARGET };

// Numbers in the packed form of a matrix with k rows and n columns.
static long packed_size(long k, long n) { return (n + PANEL - 1) / PANEL * PANEL * k; }

// Packs panels first, first + step, ... of B [k, n], B[i][j] = from[i * row + j * column], where row
// or column is 1.
static void pack(S* to, const S* from, long row, long column, long k, long n, bool narrow,
                 long first, long step) {
  for (long panel = first; panel * PANEL < n; panel += step) {
    S* out = to + panel * PANEL * k;
    const S* in = from + panel * PANEL * column;
    const long some = n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL;
    if (some < PANEL) std::memset(out, 0, PANEL * k * sizeof(S));
    if (column == 1)
      for (long i = 0; i < k; i++) std::memcpy(out + i * PANEL, in + i * row, some * sizeof(S));
    else
      for (long j = 0; j < some; j++)
        for (long i = 0; i < k; i++) out[i * PANEL + j] = in[j * column + i];
    if (narrow)
      for (long i = 0; i < k * PANEL; i += LANES) store(out + i, narrowed(load(out + i)));
  }
}

// ACROSS: A comes as columns of TILE rows side by side, as `pack_across` leaves them.
template <int ROWS, bool ACROSS>
static void tile(long depth, const S* a, long a_row, const S* panel, S* c, long c_row, long columns,
                 Start start, const S* bias) {
  V sum[ROWS][WIDTH];
  auto take = [&](const S* from, int v) {
    long count = columns - v * LANES;
    if (count >= LANES) return load(from + v * LANES);
    return count > 0 ? load_part(from + v * LANES, count) : V{};
  };
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; v++)
      sum[i][v] = start == FROM_ZERO ? V{} : take(start == FROM_BIAS ? bias : c + i * c_row, v);
  for (long k = 0; k < depth; k++) {
    V b[WIDTH];
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; v++) b[v] = load(panel + k * PANEL + v * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      V factor = fill(a[ACROSS ? k * TILE + i : i * a_row + k]);
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; v++) sum[i][v] += factor * b[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
    for (int v = 0; v < WIDTH; v++) {
      S* to = c + i * c_row + v * LANES;
      long count = columns - v * LANES;
      if (count >= LANES)
        store(to, sum[i][v]);
      else if (count > 0)
        store_part(to, sum[i][v], count);
    }
}

template <bool ACROSS>
static void rows_of_tile(long rows, long depth, const S* a, long a_row, const S* panel, S* c,
                         long c_row, long columns, Start start, const S* bias) {
#define CASE(N) \
  case N:       \
    return tile<N, ACROSS>(depth, a, a_row, panel, c, c_row, columns, start, bias)
  switch (rows) {
    CASE(1);
    CASE(2);
    CASE(3);
    CASE(4);
    CASE(5);
    CASE(6);
#if defined(__AVX512F__) || defined(__aarch64__)
    CASE(7);
    CASE(8);
#endif
  }
#undef CASE
}

// C [rows, n] = start + A [rows, k] B, with B packed; rows of A and C are a_row and c_row apart.
static void multiply(long rows, long k, long n, const S* a, long a_row, const S* packed, S* c,
                     long c_row, Start start, const S* bias = nullptr) {
  long chunks = (k + DEPTH - 1) / DEPTH, depth = (k + chunks - 1) / chunks;
  for (long from = 0; from < k; from += depth) {
    long here = k - from < depth ? k - from : depth;
    for (long column = 0; column < n; column += PANEL) {
      const S* panel = packed + column * k + from * PANEL;
      for (long row = 0; row < rows; row += TILE) {
        long some = rows - row < TILE ? rows - row : TILE;
        rows_of_tile<false>(some, here, a + row * a_row + from, a_row, panel,
                            c + row * c_row + column, c_row, n - column, start, bias + column);
      }
    }
    start = FROM_TARGET;
  }
}

// ------------------------------------------------------------------------- weights as they stand
// For a few steps, packing would cost more than the product: sums along the rows of W [n, k], in
// which torch keeps the transpose of B. A tile is ROWS rows of A by COLS rows of W.
template <int ROWS, int COLS>
static void dots(long k, const S* a, const S* w, S* c, long c_row, const S* bias, bool narrow) {
  V sum[ROWS][COLS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 8
    for (int j = 0; j < COLS; j++) sum[i][j] = V{};
  auto add = [&](auto take) {
    V factor[COLS];
#pragma GCC unroll 8
    for (int j = 0; j < COLS; j++) factor[j] = narrow ? narrowed(take(w + j * k)) : take(w + j * k);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      V row = take(a + i * k);
#pragma GCC unroll 8
      for (int j = 0; j < COLS; j++) sum[i][j] += row * factor[j];
    }
  };
  long at = 0;
  for (; at + LANES <= k; at += LANES) add([&](const S* from) { return load(from + at); });
  if (at < k) add([&](const S* from) { return load_part(from + at, k - at); });
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 8
    for (int j = 0; j < COLS; j++) {
      c[i * c_row + j] = sum_of(sum[i][j]) + (bias ? bias[j] : 0);
    }
}

template <int COLS>
static void columns_of_dots(long rows, long k, long n, const S* a, const S* w, S* c, const S* bias,
                            bool narrow) {
  long i = 0;
  if constexpr (COLS <= 3)
    for (; i + 4 <= rows; i += 4) dots<4, COLS>(k, a + i * k, w, c + i * n, n, bias, narrow);
  for (; i < rows; i++) dots<1, COLS>(k, a + i * k, w, c + i * n, n, bias, narrow);
}

// C [rows, n] = bias + A [rows, k] W^T.
static void multiply_plain(long rows, long k, long n, const S* a, const S* w, S* c, const S* bias,
                           bool narrow) {
  long j = 0;
  if (rows < 4)  // one row of A against so many of W that no sum waits for the one before
    for (; j + 8 <= n; j += 8)
      columns_of_dots<8>(rows, k, n, a, w + j * k, c + j, bias ? bias + j : bias, narrow);
  for (; j + 3 <= n; j += 3)
    columns_of_dots<3>(rows, k, n, a, w + j * k, c + j, bias ? bias + j : bias, narrow);
  for (; j < n; j++)
    columns_of_dots<1>(rows, k, n, a, w + j * k, c + j, bias ? bias + j : bias, narrow);
}
