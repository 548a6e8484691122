import type { Tone } from './pill.tsx'

interface MeterProps {
  readonly value: number
  readonly max: number
  /** What is measured, for those who do not see it. */
  readonly label: string
  readonly tone?: Tone
}

/** A bar that is full at `max`. */
export function Meter({ value, max, label, tone = 'idle' }: MeterProps) {
  const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0
  return (
    <span
      class={`meter ${tone}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={max}
      aria-valuenow={value}
    >
      <span style={{ width: `${100 * share}%` }} />
    </span>
  )
}
