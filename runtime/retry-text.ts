const words = '; it is tried again in '

/** What failed, and when it is tried again. */
export function withRetry(message: string, afterMs: number): string {
  const seconds = Math.ceil(afterMs / 1_000)
  return `${message}${words}${seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`}`
}

/** What failed, for a process that ends and tries nothing again. */
export function withoutRetry(message: string): string {
  const at = message.lastIndexOf(words)
  return at < 0 ? message : message.slice(0, at)
}
