import type { Tier } from '../api/types.ts'

/** The tier that an account's score gives. */
export function TierBadge({ tier }: { readonly tier: Tier }) {
  return <span class={`tier tier-${tier}`}>{tier}</span>
}
