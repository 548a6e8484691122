import { QMeshError } from '../runtime/error-report.ts'

/** Characters; the mesh takes no longer prompt, and an endless input must not fill the memory. */
const promptCharsMax = 512 * 1024

/**
 * The words of the command line, or standard input when they are `-` or missing and something is piped in.
 *
 * @param signal ends the reading: a terminal, or a program that writes slowly, may never come to an end
 * @param what names it in errors
 * @throws QMeshError `QM_USAGE`, `QM_CANCELLED`
 */
export async function readPrompt(
  words: readonly string[],
  signal: AbortSignal,
  what = 'prompt',
): Promise<string> {
  const fromStdin = words.length === 0 ? !process.stdin.isTTY : words.length === 1 && words[0] === '-'
  const prompt = fromStdin ? await readStdin(signal) : words.join(' ')
  if (prompt.trim() !== '') return prompt
  throw new QMeshError('QM_USAGE', fromStdin ? `standard input holds no ${what}` : `a ${what} is missing`)
}

async function readStdin(signal: AbortSignal): Promise<string> {
  const { stdin } = process
  const onAbort = (): void => void stdin.destroy(new QMeshError('QM_CANCELLED'))
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) throw new QMeshError('QM_CANCELLED')
    let text = ''
    stdin.setEncoding('utf8')
    for await (const chunk of stdin as AsyncIterable<string>) {
      text += chunk
      if (text.length > promptCharsMax) {
        throw new QMeshError(
          'QM_USAGE',
          `standard input has more than ${promptCharsMax} characters, which is the most that one call takes`,
        )
      }
    }
    return text
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
