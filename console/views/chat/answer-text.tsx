import { HandoverIcon } from '../../frame/icons.tsx'
import { CopyButton } from '../../ui/copy-button.tsx'
import { toDuration } from '../../ui/format.ts'
import { WorkerName } from '../../ui/worker-name.tsx'
import { toBlocks, toPieces, withMarks, type Mark, type Part, type Piece } from './rich-text.ts'

/** What a model wrote. It is text, whatever it looks like: nothing of it becomes a part of the page but emphasis and code. */
export function AnswerText({ text, marks }: { readonly text: string; readonly marks: readonly Mark[] }) {
  return (
    <>
      {withMarks(toBlocks(text), marks).map((part, index) => (
        <PartView key={index} part={part} />
      ))}
    </>
  )
}

function PartView({ part }: { readonly part: Part }) {
  if (part.kind === 'mark') return <HandoverMark mark={part} />
  if (part.kind === 'code') {
    return (
      <div class="code-block">
        <pre tabIndex={0}>{part.text.replace(/\n$/, '')}</pre>
        <CopyButton text={part.text} />
      </div>
    )
  }
  return (
    <div class="prose">
      {toPieces(part.text).map((piece, index) => (
        <PieceView key={index} piece={piece} />
      ))}
    </div>
  )
}

function PieceView({ piece: { kind, text } }: { readonly piece: Piece }) {
  if (kind === 'code') return <code>{text}</code>
  if (kind === 'strong') return <strong>{text}</strong>
  if (kind === 'link') {
    return (
      <a href={text} target="_blank" rel="noopener noreferrer nofollow">
        {text}
      </a>
    )
  }
  return <>{text}</>
}

/** The reader lost nothing: this says so, and no more. */
function HandoverMark({ mark: { to, gapMs } }: { readonly mark: Mark }) {
  return (
    <div class="handover-mark" role="note">
      <span>
        <HandoverIcon />
        continued on another worker, <WorkerName id={to} />
        {`, after ${toDuration(gapMs)}`}
      </span>
    </div>
  )
}
