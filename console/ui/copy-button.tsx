import { useSignal } from '@preact/signals'

/** Puts a text where it can be pasted from, and says so for a moment. */
export function CopyButton({ text, label = 'Copy' }: { readonly text: string; readonly label?: string }) {
  const state = useSignal<'ready' | 'copied' | 'failed'>('ready')
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
      state.value = 'copied'
    } catch {
      // Pages that are not of this machine have no clipboard without TLS.
      state.value = 'failed'
    }
    setTimeout(() => (state.value = 'ready'), 1_500)
  }
  const words = { ready: label, copied: 'Copied', failed: 'Not possible here' }
  return (
    <button type="button" class="plain" onClick={() => void copy()}>
      <span aria-live="polite">{words[state.value]}</span>
    </button>
  )
}
