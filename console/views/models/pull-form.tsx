import { useSignal } from '@preact/signals'
import { pull } from './pulls.ts'

/** Fetches a model by its name, hash or address. */
export function PullForm() {
  const name = useSignal('')
  return (
    <form
      class="pull-form"
      onSubmit={(event) => {
        event.preventDefault()
        const wanted = name.value.trim()
        name.value = ''
        if (wanted !== '') void pull(wanted)
      }}
    >
      <input
        aria-label="Name, SHA-256, hf:owner/repo/file or https address of a model"
        placeholder="name, SHA-256, hf:owner/repo/file or https://…"
        value={name.value}
        spellcheck={false}
        autocapitalize="none"
        onInput={({ currentTarget: { value } }) => (name.value = value)}
      />
      <button type="submit" disabled={name.value.trim() === ''}>
        Fetch
      </button>
    </form>
  )
}
