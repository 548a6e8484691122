import { useLayoutEffect, useRef } from 'preact/hooks'
import { stop } from './ask.ts'
import { Composer } from './composer.tsx'
import { clear, turns } from './conversation.ts'
import { Message } from './message.tsx'
import { Welcome } from './welcome.tsx'

/** Pixels from the end within which a reader is taken to be reading along. */
const nearEnd = 120

/** A conversation with whatever model the mesh gives. */
export default function ChatView() {
  const log = useRef<HTMLDivElement>(null)
  const isFollowing = useRef(true)
  const all = turns.value
  // A new question is what the person wants to see, wherever they had scrolled to.
  useLayoutEffect(() => {
    isFollowing.current = true
  }, [all.length])
  useLayoutEffect(() => {
    const { current } = log
    if (current && isFollowing.current) current.scrollTop = current.scrollHeight
  }, [all])
  return (
    <div class="chat">
      {all.length > 0 && (
        <div class="chat-head">
          <h1>Chat</h1>
          <button
            type="button"
            onClick={() => {
              stop()
              clear()
              document.querySelector<HTMLTextAreaElement>('.composer textarea')?.focus()
            }}
          >
            New chat
          </button>
        </div>
      )}
      <div
        class="log"
        ref={log}
        role="log"
        aria-label="Conversation"
        tabIndex={all.length > 0 ? 0 : undefined}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          isFollowing.current = scrollHeight - scrollTop - clientHeight < nearEnd
        }}
      >
        <div class="turns">
          {all.length === 0 && <Welcome />}
          {all.map((turn, index) => (
            <Message key={turn.id} turn={turn} isLast={index === all.length - 1} />
          ))}
        </div>
      </div>
      <Composer />
    </div>
  )
}
