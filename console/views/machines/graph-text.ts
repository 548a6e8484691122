import type { GraphState, GraphTransition, MachineGraph } from '../../../protocol/inspection.ts'

/** Lines below a state's name, and lines of one arrow. */
const linesMax = 7
const charsMax = 46

const cut = (text: string): string => (text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text)

/** A line of a state or of an arrow, and the transitions that it stands for. */
export interface TextLine {
  readonly text: string
  readonly transitions: readonly string[]
}

/** `event [guard]` */
export const transitionText = ({ event, guard }: GraphTransition): string =>
  guard === undefined ? event : `${event} [${guard}]`

function fold(lines: readonly TextLine[]): readonly TextLine[] {
  if (lines.length <= linesMax) return lines
  const rest = lines.slice(linesMax - 1)
  return [
    ...lines.slice(0, linesMax - 1),
    { text: `+ ${rest.length} more`, transitions: rest.flatMap(({ transitions }) => transitions) },
  ]
}

/** Lines that read the same are one. */
function unite(lines: readonly TextLine[]): readonly TextLine[] {
  const byText = new Map<string, string[]>()
  for (const { text, transitions } of lines) byText.set(text, [...(byText.get(text) ?? []), ...transitions])
  return [...byText].map(([text, transitions]) => ({ text, transitions }))
}

/** What stands below the name of a state: what it invokes, does on its way in and out, and hears without leaving. */
export function stateLines(state: GraphState, stays: readonly GraphTransition[]): readonly TextLine[] {
  const plain = (text: string): TextLine => ({ text: cut(text), transitions: [] })
  return fold(
    unite([
      ...state.invokes.map((name) => plain(`runs ${name}`)),
      ...(state.entry.length > 0 ? [plain(`entry / ${state.entry.join(', ')}`)] : []),
      ...(state.exit.length > 0 ? [plain(`exit / ${state.exit.join(', ')}`)] : []),
      ...stays.map((transition) => {
        const actions = transition.actions.length > 0 ? ` / ${transition.actions.join(', ')}` : ''
        return { text: cut(`${transitionText(transition)}${actions}`), transitions: [transition.id] }
      }),
    ]),
  )
}

/** An arrow of the picture: all transitions from one state to another. */
export interface Arrow {
  readonly id: string
  readonly source: string
  readonly target: string
  readonly lines: readonly TextLine[]
  readonly transitions: readonly string[]
}

/** Transitions that share both ends share an arrow: one line each, instead of a bundle of lines. */
export function toArrows({ transitions }: MachineGraph): readonly Arrow[] {
  const byEnds = new Map<string, GraphTransition[]>()
  for (const transition of transitions) {
    for (const target of transition.targets) {
      const ends = `${transition.source}→${target}`
      byEnds.set(ends, [...(byEnds.get(ends) ?? []), transition])
    }
  }
  return [...byEnds].flatMap(([id, bundle]) => {
    const [first] = bundle
    const target = id.slice(id.indexOf('→') + 1)
    return first === undefined
      ? []
      : [
          {
            id,
            source: first.source,
            target,
            lines: fold(
              unite(
                bundle.map((transition) => ({
                  text: cut(transitionText(transition)),
                  transitions: [transition.id],
                })),
              ),
            ),
            transitions: bundle.map((transition) => transition.id),
          },
        ]
  })
}
