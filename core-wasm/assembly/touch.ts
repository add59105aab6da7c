// Loading what is looked at soon. In tables larger than the processor's caches each look waits for memory; loads that do not
// depend on one another, with little in between, wait for it together.

/** The sum of what was loaded. Exported from the core, so that the compiler does not leave the loads out. */
export let touched: u64 = 0;

/** Loads the line that an address lies in. */
@inline export function touch(ptr: usize): void {
  touched += load<u64>(ptr);
}
