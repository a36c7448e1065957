# An adapter, not a second build: node-gyp users get what `npm run build:native` builds, from the source list in
# native/CMakeLists.txt. Every run asks CMake, which knows what is out of date.
{
  'targets': [
    {
      'target_name': 'shunt_native',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake_js',
          'inputs': ['<(module_root_dir)/CMakeLists.txt', '<(module_root_dir)/native/CMakeLists.txt'],
          'outputs': ['<(module_root_dir)/build/native/always-run'],
          'action': ['npm', '--prefix', '<(module_root_dir)', 'run', 'build:native'],
        },
      ],
    },
  ],
}
