import { useEffect, useRef } from 'preact/hooks'
import { giveKey, keyWanted } from '../api/key.ts'

/** Asks for the gateway's key for as long as nothing can be shown without it. */
export function KeyDialog() {
  const wanted = keyWanted.value
  const dialog = useRef<HTMLDialogElement>(null)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (wanted) dialog.current?.showModal()
    else dialog.current?.close()
  }, [wanted])
  const submit = (event: Event): void => {
    event.preventDefault()
    const key = input.current?.value.trim() ?? ''
    if (key !== '') giveKey(key)
  }
  return (
    <dialog
      ref={dialog}
      class="key-dialog"
      aria-labelledby="key-title"
      onCancel={(event) => event.preventDefault()}
    >
      <form onSubmit={submit}>
        <h2 id="key-title">This node asks for a key</h2>
        <p>
          {wanted?.wasWrong
            ? 'That key is not one of this gateway. Look at gatewayKeys in its configuration.'
            : 'Its owner set gatewayKeys. The key is kept until this tab is closed.'}
        </p>
        <label>
          Key
          {/* Another character cannot be sent in a header: the page would be stuck with such a key. */}
          <input
            ref={input}
            type="password"
            pattern="\s*[!-~]+\s*"
            title="A key has letters from a to z, digits and signs, and no blanks."
            autocomplete="off"
            required
            spellcheck={false}
          />
        </label>
        <button type="submit" class="primary">
          Continue
        </button>
      </form>
    </dialog>
  )
}
