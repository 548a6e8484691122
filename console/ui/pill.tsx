import type { ComponentChildren } from 'preact'

export type Tone = 'good' | 'warn' | 'bad' | 'idle' | 'busy'

/** A word with a coloured dot: never the colour alone. */
export function Pill({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return (
    <span class={`pill ${tone}`}>
      <span class={`dot ${tone}`} />
      {children}
    </span>
  )
}
