/**
 * Takes every step, one after the other, whatever became of those before it: one that fails must not leave open what
 * comes after it.
 *
 * @throws what the first failure threw, at the end
 */
export async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
