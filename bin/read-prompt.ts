import { QMeshError } from '../runtime/error-report.ts'

/** Characters; the mesh takes no longer prompt, and an endless input must not fill the memory. */
const promptCharsMax = 512 * 1024

/** The words of the command line, or standard input when they are `-` or missing and something is piped in. */
export async function readPrompt(words: readonly string[]): Promise<string> {
  const fromStdin = words.length === 0 ? !process.stdin.isTTY : words.length === 1 && words[0] === '-'
  const prompt = fromStdin ? await readStdin() : words.join(' ')
  if (prompt.trim() !== '') return prompt
  throw new QMeshError('QM_USAGE', fromStdin ? 'standard input holds no prompt' : 'a prompt is missing')
}

async function readStdin(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin as AsyncIterable<string>) {
    text += chunk
    if (text.length > promptCharsMax) {
      throw new QMeshError('QM_USAGE', `the prompt is longer than ${promptCharsMax} characters`)
    }
  }
  return text
}
