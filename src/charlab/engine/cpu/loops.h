// The time loops of every cell: passes over hidden units, products between them.
//
// A thread takes the whole loop over a block of rows: there is nothing to wait for within it. What
// a step computes stays in the cache; y, what is saved, and D go to memory once.

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num() { return 0; }
static int omp_get_num_threads() { return 1; }
#endif

constexpr long MOST_ROWS = 64;  // of a block: what a step needs stays in the second cache

// How `all` rows are cut into blocks: rows of each but the last, and the number of blocks.
struct Blocks {
  long rows, count;
  Blocks(long all, long threads) {
    long share = (all + threads - 1) / threads;
    long per_thread = (share + MOST_ROWS - 1) / MOST_ROWS;
    rows = (share + per_thread - 1) / per_thread;
    count = (all + rows - 1) / rows;
  }
};

static void narrow_rows(S* to, const S* from, long count) {
  long k = 0;
  for (; k + LANES <= count; k += LANES) store(to + k, narrowed(load(from + k)));
  if (k < count) store_part(to + k, narrowed(load_part(from + k, count - k)), count - k);
}

// ------------------------------------------------------------------------------------- weights
struct Linear {  // W [n, k] as torch keeps it, bias [n] or null
  const S* weight;
  const S* bias;
};

// Numbers of the room that `forward` packs weights in, and `backward`.
extern "C" long forward_size(long I, long H) {
  long size = packed_size(I, GATES * H);
  for (int c = 0; c < CALLS; c++) size += packed_size(H, CALL[c].blocks * H);
  return size;
}

static void pack_forward(const Sizes& s, S* to, Linear input, const Linear* call, long first,
                         long step) {
  pack(to, input.weight, 1, s.I, s.I, GATES * s.H, s.narrow, first, step);
  to += packed_size(s.I, GATES * s.H);
  for (int c = 0; c < CALLS; c++) {
    pack(to, call[c].weight, 1, s.H, s.H, CALL[c].blocks * s.H, s.narrow, first, step);
    to += packed_size(s.H, CALL[c].blocks * s.H);
  }
}

// For gradients: rows of W as they stand, in the runs in which D holds their columns.
extern "C" long backward_size(long I, long H) {
  long size = 0;
  for (int run = 0; run < RUNS[0].last; run++) size += packed_size(RUN[run].blocks * H, I);
  for (int c = 0; c < CALLS; c++)
    for (int run = RUNS[c + 1].first; run < RUNS[c + 1].last; run++)
      size += packed_size(RUN[run].blocks * H, H);
  return size;
}

static S* pack_runs(const Sizes& s, S* to, const S* weight, long width, int product, long first,
                    long step) {
  for (int run = RUNS[product].first; run < RUNS[product].last; run++) {
    long rows = RUN[run].blocks * s.H;
    pack(to, weight + RUN[run].block * s.H * width, width, 1, rows, width, s.narrow, first, step);
    to += packed_size(rows, width);
  }
  return to;
}

// to [rows, width] = start + D W, run by run.
static void multiply_runs(long rows, long H, long width, const S* D, const S* packed, S* to,
                          int product, Start start) {
  for (int run = RUNS[product].first; run < RUNS[product].last; run++) {
    long depth = RUN[run].blocks * H;
    multiply(rows, depth, width, D + RUN[run].column * H, COLUMNS * H, packed, to, width, start);
    packed += packed_size(depth, width);
    start = FROM_TARGET;
  }
  if (start == FROM_ZERO) std::memset(to, 0, rows * width * sizeof(S));  // there was no run
}

// --------------------------------------------------------------------------------------- forward
// places: x, room to pack weights in or null, y, saved; then parts of the state before, those of the
// state after, sequences of all parts but the first, other parameters, weights and biases. The state
// after may take the memory of the one before.
extern "C" void forward(const Sizes* sizes, S* const* places) {
  const S* const x = places[0];
  S *const packed = places[1], *const y = places[2], *const saved = places[3];
  S* const* state = places + 4;
  S *const *last = state + STATES, *const *sequence = last + STATES;
  S* const* other = sequence + STATES - 1;
  const Linear* linear = (const Linear*)(other + OTHERS);
  const Sizes s = *sizes;
  const Blocks blocks(s.B, s.threads);
  const long H = s.H, gates = GATES * H;
#pragma omp parallel num_threads(s.threads)
  {
    long thread = omp_get_thread_num(), threads = omp_get_num_threads();
    if (packed && !s.ready) {
      pack_forward(s, packed, linear[0], linear + 1, thread, threads);
#pragma omp barrier
    }
    auto product_of = [&](long rows, long k, long n, const S* a, const Linear& by, const S* ready,
                          S* to) {
      if (packed)
        multiply(rows, k, n, a, k, ready, to, n, by.bias ? FROM_BIAS : FROM_ZERO, by.bias);
      else
        multiply_plain(rows, k, n, a, by.weight, to, by.bias, s.narrow);
    };
    long most = blocks.rows * H, size = most * (GATES + CARRIED + (CALLS > 0 ? CALLS : 1));
    for (int c = 0; c < CALLS; c++) size += most * CALL[c].blocks;
    Memory memory = numbers(size + 2 * most * STATES);
    for (long block = thread; block < blocks.count; block += threads) {
      const long start = block * blocks.rows;
      const long rows = s.B - start < blocks.rows ? s.B - start : blocks.rows;
      Step at{};
      at.H = H, at.rows = rows, at.narrow = s.narrow;
      S* next = memory.get();
      auto room = [&](long blocks_a_row) {
        S* mine = next;
        next += most * blocks_a_row;
        return mine;
      };
      S* gate = room(GATES);
      S *input[CALLS + 1], *product[CALLS + 1], *turn[STATES][2];
      at.carried = room(CARRIED);
      for (int c = 0; c < CALLS; c++) {
        at.input[c] = input[c] = room(1);
        at.product[c] = product[c] = room(CALL[c].blocks);
      }
      for (int p = 0; p < STATES; p++)
        for (int k = 0; k < 2; k++) turn[p][k] = room(1);
      for (int i = 0; i < OTHERS; i++) at.other[i] = other[i];
      at.gate = gate;
      for (int p = 0; p < STATES; p++) at.state[p] = state[p] + start * H;
      for (long t = 0; t < s.T; t++) {
        const long place = t * s.B + start;
        product_of(rows, s.I, gates, x + place * s.I, linear[0], packed, gate);
        at.new_state[0] = y + place * H;
        for (int p = 1; p < STATES; p++)
          at.new_state[p] = s.save ? sequence[p - 1] + place * H : turn[p][t & 1];
        at.saved = s.save ? saved + place * SAVED * H : nullptr;
        for (int pass = 0; pass < PASSES; pass++) {
          forward_pass(pass, at);
          const S* weights = packed + packed_size(s.I, gates);
          for (int c = 0; c < CALLS; c++) {
            const long n = CALL[c].blocks * H;
            if (CALL[c].pass == pass) {
              const S* a = input[c];
              if (CALL[c].state >= 0) {
                a = at.state[CALL[c].state];
                if (s.narrow) narrow_rows(input[c], a, rows * H), a = input[c];
              }
              product_of(rows, H, n, a, linear[c + 1], weights, product[c]);
            }
            weights += packed_size(H, n);
          }
        }
        for (int p = 0; p < STATES; p++) at.state[p] = at.new_state[p];
      }
      for (int p = 0; p < STATES; p++)
        std::memcpy(last[p] + start * H, at.state[p], rows * H * sizeof(S));
    }
  }
}

// -------------------------------------------------------------------------------------- backward
// D holds the gradients of pre-activations: the whole of it, [T, B, COLUMNS * H], where it is
// given, and torch makes the gradients of weights from it; else a few steps at a time, and
// d_weight [threads, weight_size] gets them, d_columns [threads, COLUMNS * H], or null, the sums of
// its columns. d_state holds the gradient of the last state, and gets that of the first; sums
// [threads, SUMS * H] those of other parameters. d_x may be null.
//
// places: x, room to pack weights in, y, saved, d_y, D, d_weight, d_x; then parts of the state,
// d_state, sequences of all parts but the first, other parameters, weights and biases.
extern "C" void backward(const Sizes* sizes, S* const* places, long weight_size, double* d_columns,
                         double* sums) {
  const S *const x = places[0], *const y = places[2], *const d_y = places[4];
  S *const packed = places[1], *const saved = places[3], *const D = places[5];
  S *const d_weight = places[6], *const d_x = places[7];
  S* const* state = places + 8;
  S *const *d_state = state + STATES, *const *sequence = d_state + STATES;
  S* const* other = sequence + STATES - 1;
  const Linear* linear = (const Linear*)(other + OTHERS);
  const Sizes s = *sizes;
  const Blocks blocks(s.B, s.threads);
  const long H = s.H;
#pragma omp parallel num_threads(s.threads)
  {
    long thread = omp_get_thread_num(), threads = omp_get_num_threads();
    S* to = pack_runs(s, packed, linear[0].weight, s.I, 0, thread, threads);
    for (int c = 0; c < CALLS; c++)
      to = pack_runs(s, to, linear[c + 1].weight, H, c + 1, thread, threads);
#pragma omp barrier
    const long most = blocks.rows * H;
    Memory memory = numbers(most * (CALLS + 1) + SUMS * H);
    S* step_sums = memory.get() + most * (CALLS + 1);
    WeightSums weights(s, D ? 0 : blocks.rows);
    for (long block = thread; block < blocks.count; block += threads) {
      const long start = block * blocks.rows;
      const long rows = s.B - start < blocks.rows ? s.B - start : blocks.rows;
      Step at{};
      at.H = H, at.rows = rows, at.narrow = s.narrow, at.sums = step_sums;
      S* d_input[CALLS + 1];
      for (int c = 0; c < CALLS; c++) at.d_input[c] = d_input[c] = memory.get() + c * most;
      for (int i = 0; i < OTHERS; i++) at.other[i] = other[i];
      for (int p = 0; p < STATES; p++) at.d_state[p] = d_state[p] + start * H;
      for (long t = s.T - 1; t >= 0; t--) {
        const long place = t * s.B + start, before = place - s.B;
        at.d_y = d_y + place * H;
        at.new_state[0] = places[2] + place * H;  // y, which no piece writes to
        at.state[0] = t ? y + before * H : state[0] + start * H;
        for (int p = 1; p < STATES; p++) {
          at.new_state[p] = sequence[p - 1] + place * H;
          at.state[p] = t ? sequence[p - 1] + before * H : state[p] + start * H;
        }
        at.saved = saved + place * SAVED * H;
        at.D = D ? D + place * COLUMNS * H : weights.next(rows);
        if (SUMS) std::memset(step_sums, 0, SUMS * H * sizeof(S));
        for (int piece = 0; piece < PIECES; piece++) {
          const int c = PIECE[piece].call;
          if (c >= 0) {
            const S* ready = packed;
            for (int run = 0; run < RUNS[c + 1].first; run++)
              ready += packed_size(RUN[run].blocks * H, run < RUNS[0].last ? s.I : H);
            const int part = PIECE[piece].state;
            multiply_runs(rows, H, H, at.D, ready, part < 0 ? d_input[c] : at.d_state[part],
                          c + 1, part < 0 ? FROM_ZERO : FROM_TARGET);
            if (part >= 0) continue;
          }
          backward_piece(piece, at);
        }
        if (d_x)
          multiply_runs(rows, H, s.I, at.D, packed, d_x + place * s.I, 0, FROM_ZERO);
        for (long k = 0; k < SUMS * H; k++) sums[thread * SUMS * H + k] += step_sums[k];
        if (!D) {
          weights.what(0) = {x + place * s.I, s.I};
          for (int c = 0; c < CALLS; c++)
            weights.what(c + 1) = CALL[c].state >= 0
                                      ? Rows{at.state[CALL[c].state], H}
                                      : Rows{at.saved + CALL[c].saved * H, SAVED * H};
          if (++weights.steps == weights.most_steps || t == 0)
            weights.add(d_weight + thread * weight_size,
                        d_columns ? d_columns + thread * COLUMNS * H : nullptr, rows);
        }
      }
    }
  }
}
