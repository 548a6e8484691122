import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { SendIcon, StopIcon } from '../../frame/icons.tsx'
import { ask, stop } from './ask.ts'
import { isRunning } from './conversation.ts'
import { ModelChoice } from './model-choice.tsx'
import { SettingsPanel } from './settings-panel.tsx'

/** Where a question is written. Enter sends it, Shift and Enter begin a line, Escape stops an answer. */
export function Composer() {
  const text = useSignal('')
  const field = useRef<HTMLTextAreaElement>(null)
  useEffect(() => field.current?.focus(), [])
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && isRunning.value) stop()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
  const send = (): void => {
    const question = text.value.trim()
    if (question === '' || isRunning.value) return
    text.value = ''
    void ask(question)
  }
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      <textarea
        ref={field}
        rows={1}
        aria-label="Your question"
        placeholder="Ask the mesh…"
        value={text.value}
        onInput={({ currentTarget: { value } }) => (text.value = value)}
        onKeyDown={(event) => {
          // While a word is being composed, Enter belongs to the input method.
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
          event.preventDefault()
          send()
        }}
      />
      <div class="composer-row">
        <ModelChoice />
        <SettingsPanel />
        {isRunning.value ? (
          <button type="button" class="round stop" aria-label="Stop" title="Stop (Esc)" onClick={stop}>
            <StopIcon />
          </button>
        ) : (
          <button
            type="submit"
            class="round primary"
            aria-label="Send"
            title="Send (Enter)"
            disabled={text.value.trim() === ''}
          >
            <SendIcon />
          </button>
        )}
      </div>
    </form>
  )
}
