# SPDX-License-Identifier: GPL-2.0
"""A headless Chromium that is told what to do through a pair of pipes.

    with Browser(width, height, dark) as b:
        b.open(url)                   # returns when the page has loaded
        b.value(javascript)           # what an expression is
        b.screenshot(path)
        b.problems                    # errors on the console, exceptions, failed requests
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Browser:
    def __init__(self, width=1280, height=900, dark=False):
        self.profile = tempfile.mkdtemp()
        self.next = 0
        self.problems = []
        self.loaded = False
        self.buffer = b''
        to_r, self.to = os.pipe()
        self.source, from_w = os.pipe()

        def place():
            # Chromium reads from descriptor 3 and writes to 4
            a, b = os.dup(to_r), os.dup(from_w)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            ['chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
             '--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-sync',
             '--disable-component-update', '--mute-audio', f'--window-size={width},{height}',
             f'--user-data-dir={self.profile}', '--remote-debugging-pipe', 'about:blank'],
            preexec_fn=place, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_r)
        os.close(from_w)
        self.session = None
        target = next(t for t in self.call('Target.getTargets')['targetInfos'] if t['type'] == 'page')
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(domain + '.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
        # a picture of the whole page has none
        self.call('Emulation.setScrollbarsHidden', hidden=True)
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def __enter__(self):
        return self

    def __exit__(self, *args):
        try:
            self.session = None
            self.call('Browser.close')
        except (OSError, EOFError, TimeoutError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.source)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, timeout=60):
        end = time.monotonic() + timeout
        while b'\0' not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.source], [], [], left)[0]:
                raise TimeoutError('Chromium does not answer')
            part = os.read(self.source, 1 << 20)
            if not part:
                raise EOFError('Chromium is gone')
            self.buffer += part
        one, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(one)

    def note(self, m):
        method, p = m.get('method'), m.get('params', {})
        if method == 'Page.loadEventFired':
            self.loaded = True
        elif method == 'Runtime.exceptionThrown':
            self.problems.append(p['exceptionDetails'].get('exception', {}).get('description', p['exceptionDetails']['text']))
        elif method == 'Runtime.consoleAPICalled' and p['type'] in ('error', 'warning', 'assert'):
            self.problems.append(' '.join(str(a.get('value', a.get('description'))) for a in p['args']))
        elif method == 'Log.entryAdded' and p['entry']['level'] in ('error', 'warning'):
            self.problems.append(p['entry']['text'] + ' ' + p['entry'].get('url', ''))
        elif method == 'Network.loadingFailed' and not p.get('canceled'):
            self.problems.append('a request failed: ' + p['errorText'])
        elif method == 'Network.requestWillBeSent':
            self.requests.append(p['request']['url'])

    requests = []

    def call(self, method, **params):
        self.next += 1
        m = {'id': self.next, 'method': method, 'params': params}
        if self.session:
            m['sessionId'] = self.session
        os.write(self.to, json.dumps(m).encode() + b'\0')
        while True:
            answer = self.message()
            if answer.get('id') == m['id']:
                if 'error' in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer['result']
            self.note(answer)

    def open(self, url):
        self.loaded = False
        self.requests = []
        self.call('Page.navigate', url=url)
        while not self.loaded:
            self.note(self.message())

    def value(self, expression):
        r = self.call('Runtime.evaluate', expression=f'(async () => JSON.stringify(await ({expression})))()', awaitPromise=True)
        if 'exceptionDetails' in r:
            raise RuntimeError(r['exceptionDetails'].get('exception', {}).get('description'))
        return json.loads(r['result'].get('value', 'null'))

    def wait(self, expression, timeout=30):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.value(expression):
                return True
            time.sleep(0.2)
        return False

    def key(self, key, code=None, text=None):
        for kind in ('keyDown', 'keyUp'):
            extra = {'text': text} if text and kind == 'keyDown' else {}
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=code or key,
                      windowsVirtualKeyCode={'Tab': 9, 'Enter': 13}.get(key, 0), **extra)

    def screenshot(self, path):
        height = self.value('document.documentElement.scrollHeight')
        width = self.value('document.documentElement.clientWidth')
        png = self.call('Page.captureScreenshot', captureBeyondViewport=True,
                        clip={'x': 0, 'y': 0, 'width': width, 'height': min(height, 6000), 'scale': 1})
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(base64.b64decode(png['data']))
