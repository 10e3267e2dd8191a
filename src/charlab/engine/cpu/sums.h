// Gradients of weights, summed by each thread while D, the gradient of pre-activations, is in the
// cache: W [n, width] += D^T A for the rows of a few steps at a time.

// Rows of a matrix, `step` numbers apart; what a product read at one step.
struct Rows {
  const S* first;
  long step;
};

// One block of D, [rows, H] with rows `step` apart, as tiles of columns.
static void pack_across(S* to, const S* from, long step, long rows, long H) {
  for (long column = 0; column < H; column += TILE) {
    long some = H - column < TILE ? H - column : TILE;
    for (long row = 0; row < rows; row++)
      for (long i = 0; i < some; i++) to[row * TILE + i] = from[row * step + column + i];
    to += rows * TILE;
  }
}
static long across_size(long rows, long H) { return (H + TILE - 1) / TILE * TILE * rows; }

// Panels of A, whose rows come from several steps, `rows` of each.
static void pack_steps(S* to, const Rows* from, long steps, long rows, long width) {
  for (long column = 0; column < width; column += PANEL) {
    long some = width - column < PANEL ? width - column : PANEL;
    for (long step = 0; step < steps; step++)
      for (long row = 0; row < rows; row++, to += PANEL) {
        const S* in = from[step].first + row * from[step].step + column;
        if (some == PANEL) {
          std::memcpy(to, in, PANEL * sizeof(S));
        } else {
          std::memset(to, 0, PANEL * sizeof(S));
          std::memcpy(to, in, some * sizeof(S));
        }
      }
  }
}

// to [H, width] += block^T A, both packed, for `rows` rows.
static void add_transposed(S* to, const S* block, const S* panels, long rows, long H, long width) {
  for (long column = 0; column < width; column += PANEL)
    for (long row = 0; row < H; row += TILE)
      rows_of_tile<true>(H - row < TILE ? H - row : TILE, rows, block + row * rows, 0,
                         panels + column * rows, to + row * width + column, width, width - column,
                         FROM_TARGET, nullptr);
}

constexpr long MOST_SUMMED = 256;  // rows of the steps whose D is kept until weights get their part

// Gradients of the weights, summed by one thread: all of its own, for a few steps at a time.
struct WeightSums {
  const Sizes& s;
  long rows, most_steps, steps = 0;
  Memory D, across, panels;
  std::unique_ptr<Rows[]> reads;  // [1 + CALLS, most_steps], what each product read

  WeightSums(const Sizes& sizes, long block_rows)
      : s(sizes),
        rows(block_rows),
        most_steps(block_rows && block_rows < MOST_SUMMED ? MOST_SUMMED / block_rows : 1),
        D(numbers(most_steps * rows * COLUMNS * s.H)),
        across(numbers(across_size(most_steps * rows, s.H) * COLUMNS)),
        panels(numbers(packed_size(most_steps * rows, s.I > s.H ? s.I : s.H) + COLUMNS * s.H)),
        reads(new Rows[(1 + CALLS) * most_steps]) {}

  S* next(long real_rows) { return D.get() + steps * real_rows * COLUMNS * s.H; }
  Rows& what(int product) { return reads[product * most_steps + steps]; }

  // Adds what has come together to the weights of `to`, run by run, and to sums of D's columns.
  void add(S* to, double* columns, long real_rows) {
    const long all = steps * real_rows, H = s.H, one = across_size(all, H);
    for (long c = 0; c < COLUMNS; c++)
      pack_across(across.get() + c * one, D.get() + c * H, COLUMNS * H, all, H);
    if (columns) add_columns(columns, all, COLUMNS * H);
    for (int product = 0; product <= CALLS; product++) {
      const long width = product ? H : s.I;
      pack_steps(panels.get(), &reads[product * most_steps], steps, real_rows, width);
      for (int run = RUNS[product].first; run < RUNS[product].last; run++)
        for (long block = 0; block < RUN[run].blocks; block++, to += H * width)
          add_transposed(to, across.get() + (RUN[run].column + block) * one, panels.get(), all, H,
                         width);
    }
    steps = 0;
  }

  // Single numbers for these few rows, double ones for all.
  void add_columns(double* to, long all, long width) {
    S* some = panels.get();
    std::memset(some, 0, width * sizeof(S));
    for (long row = 0; row < all; row++)
      for (long k = 0; k < width; k++) some[k] += D.get()[row * width + k];
    for (long k = 0; k < width; k++) to[k] += some[k];
  }
};
