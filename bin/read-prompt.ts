import { QMeshError } from '../runtime/error-report.ts'

/** Characters; the mesh takes no longer prompt, and an endless input must not fill the memory. */
const promptCharsMax = 512 * 1024

/**
 * The words of the command line, or standard input when they are `-` or missing and something is piped in.
 *
 * @param what names it in errors
 */
export async function readPrompt(words: readonly string[], what = 'prompt'): Promise<string> {
  const fromStdin = words.length === 0 ? !process.stdin.isTTY : words.length === 1 && words[0] === '-'
  const prompt = fromStdin ? await readStdin() : words.join(' ')
  if (prompt.trim() !== '') return prompt
  throw new QMeshError('QM_USAGE', fromStdin ? `standard input holds no ${what}` : `a ${what} is missing`)
}

async function readStdin(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin as AsyncIterable<string>) {
    text += chunk
    if (text.length > promptCharsMax) {
      throw new QMeshError(
        'QM_USAGE',
        `standard input has more than ${promptCharsMax} characters, which is the most that one call takes`,
      )
    }
  }
  return text
}
