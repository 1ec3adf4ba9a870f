"""move.py ROOT TABLE...: moves modules and rewrites whatever names them."""
import ast, pathlib, re, subprocess, sys
root = pathlib.Path(sys.argv[1])
MOD, NAMES, PKG, NEW, DROP, MERGE = {}, {}, {}, {}, [], {}
for t in sys.argv[2:]:
    for line in pathlib.Path(t).read_text().splitlines():
        if not line.strip(): continue
        w = line.split()
        if w[0] == 'name': NAMES[tuple(w[1].split(':'))] = w[2]
        elif w[0] == 'package': PKG[w[1]] = w[2]
        elif w[0] == 'new': NEW[w[1]] = line.split(None, 2)[2]
        elif w[0] == 'drop': DROP.append(w[1])
        elif w[0] == 'merge': MERGE[w[1]] = w[2]
        elif w[0] != w[1]: MOD[w[0]] = w[1]
ALL = {**MOD, **MERGE}
TOP = {'berth_core': 'core', 'berth_operator': 'operator', 'berth_api': 'api', 'berth_cli': 'cli', 'berth_notifier': 'notifier', 'berth_cluster': 'cluster'}
def path_of(mod): return pathlib.Path(TOP[mod.split('.')[0]], *mod.split('.'))
files = subprocess.run(['git', 'ls-files'], cwd=root, capture_output=True, text=True, check=True).stdout.split('\n')
MARK = '\x01'
reports = []
def bound_names(tree, skip):
    out = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)): out.add(n.id)
        elif isinstance(n, ast.arg): out.add(n.arg)
        elif isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): out.add(n.name)
        elif isinstance(n, ast.ExceptHandler) and n.name: out.add(n.name)
        elif isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name: out.add(n.name)
        elif isinstance(n, (ast.Import, ast.ImportFrom)):
            for a in n.names:
                if (id(n), a.name) in skip: continue
                out.add((a.asname or a.name).split('.')[0])
    return out
def rewrite(f, text):
    tree = ast.parse(text)
    data = text.encode().splitlines(keepends=True)
    edits = []  # (l0,c0,l1,c1,bytes)
    jobs = []
    skip = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom) and n.level == 0 and n.module:
            hit = [a for a in n.names if f'{n.module}.{a.name}' in ALL or (n.module, a.name) in NAMES]
            if hit:
                jobs.append((n, hit))
                for a in hit:
                    if f'{n.module}.{a.name}' in ALL and not a.asname: skip.add((id(n), a.name))
    if not jobs: return text
    bound = bound_names(tree, skip)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    # decide local names: old -> new for the whole file
    want = {}
    for n, hit in jobs:
        for a in hit:
            full = f'{n.module}.{a.name}'
            if full in ALL and not a.asname:
                want.setdefault(a.name, set()).add(ALL[full].rsplit('.', 1)[1])
    taken = {}
    for old, news in want.items():
        for new in news: taken.setdefault(new, set()).add(old)
    local = {}
    for old, news in want.items():
        if len(news) > 1:
            reports.append(f'{f}: {old} is two things {news}'); local[old] = old; continue
        new = next(iter(news))
        if new == old: local[old] = old
        elif old in bound or new in bound or new in used or len(taken[new]) > 1 or new in want:
            local[old] = old; reports.append(f'{f}: kept `as {old}` for {new}')
        else: local[old] = new
    for n, hit in jobs:
        seg = b''.join(data[n.lineno - 1:n.end_lineno])
        if b'#' in seg: reports.append(f'{f}:{n.lineno}: comment in import: {seg.decode().strip()}')
        groups = {}
        for a in n.names:
            full = f'{n.module}.{a.name}'
            if full in ALL:
                new = ALL[full]; pkg, name = new.rsplit('.', 1)
                asname = a.asname or (local[a.name] if local[a.name] != name else None)
                groups.setdefault(MARK + pkg, []).append((name, asname if asname != name else None))
            elif (n.module, a.name) in NAMES:
                groups.setdefault(MARK + NAMES[n.module, a.name], []).append((a.name, a.asname))
            else:
                groups.setdefault(n.module, []).append((a.name, a.asname))
        indent = b' ' * n.col_offset
        lines = [f"from {m} import {', '.join(x + (f' as {y}' if y else '') for x, y in names)}" for m, names in groups.items()]
        new = ('\n' + indent.decode()).join(lines)
        edits.append((n.lineno, n.col_offset, n.end_lineno, n.end_col_offset, new.encode()))
    starts = [0]
    for l in data: starts.append(starts[-1] + len(l))
    buf = b''.join(data)
    renames = {o: w for o, w in local.items() if o != w}
    def visit(n, top=True):
        if isinstance(n, ast.JoinedStr):
            a, b = starts[n.lineno - 1] + n.col_offset, starts[n.end_lineno - 1] + n.end_col_offset
            seg = buf[a:b].decode(); res = seg
            for o, w in renames.items(): res = re.sub(r'(?<![\w.])' + o + r'(?=\.)', w, res)
            if res != seg:
                edits.append((n.lineno, n.col_offset, n.end_lineno, n.end_col_offset, res.encode())); reports.append(f'{f}: f-string {seg} -> {res}')
            return
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in renames:
            edits.append((n.lineno, n.col_offset, n.end_lineno, n.end_col_offset, renames[n.id].encode()))
        for c in ast.iter_child_nodes(n): visit(c)
    visit(tree)
    for l0, c0, l1, c1, new in sorted(edits, reverse=True):
        a, b = starts[l0 - 1] + c0, starts[l1 - 1] + c1
        buf = buf[:a] + new + buf[b:]
    return buf.decode()
DOT = re.compile(r'(?<![\x01\w/])(berth_(?:core|operator|api|cli|notifier|cluster))((?:\.[A-Za-z_]\w*)+)')
def dot(m):
    parts = (m[1] + m[2]).split('.')
    for k in range(len(parts), 1, -1):
        p = '.'.join(parts[:k]); rest = parts[k:]
        if p in ALL: return '.'.join([ALL[p], *rest])
        if rest and (p, rest[0]) in NAMES: return '.'.join([NAMES[p, rest[0]], *rest])
        if p in PKG: return '.'.join([PKG[p], *rest])
        if p in DROP: reports.append(f'{cur}: names dropped package {m[0]}'); return m[0]
    return m[0]
PATH = re.compile(r'((?:core|operator|api|cli|notifier|cluster)/)?(berth_(?:core|operator|api|cli|notifier|cluster))((?:/\w+)+)\.py\b')
def pathsub(m):
    mod = (m[2] + m[3]).replace('/', '.')
    if mod in ALL: return (m[1] or '') + ALL[mod].replace('.', '/') + '.py'
    return m[0]
SHORT = re.compile(r'(?<![\w./])((?:[a-z_]+/)?[a-z_]+)\.py\b')
shorts = {}
for old in ALL:
    p = old.split('.')
    shorts[p[-1]] = old
    if len(p) > 2: shorts['/'.join(p[-2:])] = old
for f in files:
    p = root / f
    if not f or not p.is_file() or p.is_symlink() or f == 'uv.lock': continue
    try: text = p.read_text()
    except UnicodeDecodeError: continue
    cur = f
    out = rewrite(f, text) if f.endswith('.py') else text
    out = PATH.sub(pathsub, DOT.sub(dot, out)).replace(MARK, '')
    for i, l in enumerate(out.splitlines(), 1):
        for m in SHORT.finditer(l):
            if m[1] in shorts and '/' not in m[1] and f.startswith(('docs', 'core', 'operator', 'api', 'cli', 'spec', 'README', 'CONTR')) or m[1] in shorts and '/' in m[1]:
                reports.append(f'{f}:{i}: short {m[0]}: {l.strip()[:100]}')
        if re.search(r'berth_(operator/(build|decide)|api/(routes|services|schemas|shapes)|core/client|cli/(checkup|remote))\b', l):
            reports.append(f'{f}:{i}: folder: {l.strip()[:120]}')
    if out != text: p.write_text(out)
def git(*a): subprocess.run(['git', *a], cwd=root, check=True)
# in two steps, since a module may take the place of another
tmp = {}
for i, (old, new) in enumerate(MOD.items()):
    src = path_of(old).with_suffix('.py')
    if not (root / src).exists(): reports.append(f'no {src}'); continue
    t = pathlib.Path(f'.moving-{i}.py'); git('mv', str(src), str(t)); tmp[t] = path_of(new).with_suffix('.py')
for t, dst in tmp.items():
    (root / dst).parent.mkdir(parents=True, exist_ok=True); git('mv', str(t), str(dst))
for mod, text in NEW.items():
    p = root / path_of(mod) / '__init__.py'
    if p.exists(): continue
    p.parent.mkdir(parents=True, exist_ok=True); p.write_text(f'"""{text}"""\n'); git('add', str(p))
for mod in [*DROP, *PKG]:
    if mod in NEW: continue
    d = root / path_of(mod)
    if (d / '__init__.py').exists(): git('rm', '-qf', str(d / '__init__.py'))
print('\n'.join(reports))
