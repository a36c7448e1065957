import { expect, it } from 'vitest';
import { sayWarnings, warningText } from '../../../scripts/demo/warnings.js';

const warning = '{"level":"warn","object":"file a.yaml","field":"line 2","msg":"no YAML; correct it"}';

it('reads the warnings of a log and nothing else', () => {
  expect(warningText(warning)).toBe('file a.yaml line 2: no YAML; correct it');
  expect(warningText('{"level":"error","msg":"write maps: failed"}')).toBe('write maps: failed');
  expect(warningText('{"level":"info","msg":"serving"}')).toBeUndefined();
  expect(warningText('not JSON')).toBeUndefined();
});

it('says what is new, once, and when an agent ends', async () => {
  let end: (how: { signal: string; code: null }) => void = () => {};
  const exited = new Promise<{ signal: string; code: null }>((resolve) => {
    end = resolve;
  });
  const agent = { log: `${warning}\n`, process: { exited } };
  const said: string[] = [];
  const silence = sayWarnings(new Map([['node1', agent]]), (text) => said.push(text));
  agent.log += warning.replace('a.yaml', 'b.yaml').slice(0, 20);
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(said).toEqual([]);
  agent.log += `${warning.replace('a.yaml', 'b.yaml').slice(20)}\n`;
  await new Promise((resolve) => setTimeout(resolve, 450));
  expect(said).toEqual(['! node1: file b.yaml line 2: no YAML; correct it']);
  end({ signal: 'SIGKILL', code: null });
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(said[1]).toMatch(/^! node1: the agent has ended \(SIGKILL\)/);
  silence();
});
