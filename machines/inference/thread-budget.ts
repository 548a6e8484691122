/**
 * Shares the cores that do maths among the hosts: as evenly as whole threads go, the first ones get the rest, nobody
 * gets less than one. With more hosts than cores each still gets its one thread, because a host cannot run with none.
 *
 * The bound matters: threads of the engine spin while they wait for each other, and one too many costs a factor of 16
 * to 200.
 *
 * @param mathCores cores that do maths well, at least 1
 * @param hosts number of models, 0 or more
 * @returns threads of each host, in order
 */
export function splitThreads(mathCores: number, hosts: number): number[] {
  const cores = Math.max(1, Math.floor(mathCores))
  const share = Math.floor(cores / Math.max(1, hosts))
  const rest = cores - share * hosts
  return Array.from({ length: hosts }, (_, index) => Math.max(1, share + (index < rest ? 1 : 0)))
}

/**
 * Threads of the next host where hosts come and go. Each of those that may still come beside it is kept its even share;
 * what is left over goes to whoever comes first. A host keeps its threads for as long as it is loaded.
 *
 * @param mathCores cores that do maths well, at least 1
 * @param together hosts that can be loaded at the same time, this one included
 * @param taken threads of each host that is loaded now
 */
export function nextThreads(mathCores: number, together: number, taken: readonly number[]): number {
  const cores = Math.max(1, Math.floor(mathCores))
  const share = Math.max(1, Math.floor(cores / Math.max(1, together)))
  const others = Math.max(0, together - taken.length - 1)
  return Math.max(1, cores - taken.reduce((sum, threads) => sum + threads, 0) - share * others)
}
