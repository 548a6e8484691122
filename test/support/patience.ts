/** For `vi.waitFor`: what is waited for comes at once, or seconds later where others use the machine, too. */
export const patience = { timeout: 15_000, interval: 20 } as const
