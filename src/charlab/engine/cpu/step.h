// What the tables before this say of a cell, and what its passes read and write.
//
//   GATES, STATES, CALLS, PASSES, PIECES, SAVED, CARRIED, COLUMNS, OTHERS, SUMS    how many
//   CALL[c]    blocks it gives, the pass that it follows, the part of the state that it reads or -1,
//              and then the column of `saved` that holds what it reads
//   PIECE[p]   its call or -1; the part of the state that gets the gradient of its input as it is,
//              or -1: then backward_piece(p) says where it goes
//   RUN[k]     blocks of a product that stand side by side in D: column of the first of them in D,
//              block of the first of them in the product, how many
//   RUNS[n]    runs of the input product (n = 0) and of call n - 1: first to last, last excluded

#include <cstdlib>
#include <memory>

// save: keep what `backward` needs. ready: weights are packed already, by a call before.
struct Sizes {
  long T, B, I, H, threads, narrow, save, ready;
};

struct Free {
  void operator()(S* memory) const { free(memory); }
};
typedef std::unique_ptr<S, Free> Memory;
static Memory numbers(long count) {
  size_t bytes = (count * sizeof(S) + 2 * BYTES) / BYTES * BYTES;
  return Memory((S*)aligned_alloc(BYTES, bytes));
}

// A block of rows at one step. Rows of several blocks of H numbers have them side by side.
struct Step {
  long H, rows, narrow;
  const S *gate, *state[STATES], *product[CALLS + 1], *other[OTHERS + 1];
  S *new_state[STATES], *input[CALLS + 1], *carried, *saved;
  const S *d_y, *d_input[CALLS + 1];
  S *d_state[STATES], *D, *sums;
};
